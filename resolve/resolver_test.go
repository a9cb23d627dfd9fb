package resolve

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
)

// apiServer is a small API server that lists and watches what it is given. The tests in the
// module test/ use a real one.
type apiServer struct {
	t      *testing.T
	mu     sync.Mutex
	lists  map[string][]runtime.Object
	events map[string]chan string
	denied map[string]bool
	broken map[string]bool
	asked  []string // field selectors of the lists
}

func startAPI(t *testing.T) (*apiServer, rest.Interface) {
	t.Helper()
	s := &apiServer{t: t, lists: map[string][]runtime.Object{}, events: map[string]chan string{}, denied: map[string]bool{}, broken: map[string]bool{}}
	for _, resource := range []string{"pods", "nodes", "services"} {
		s.events[resource] = make(chan string, 16)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, clientOf(t, server.URL)
}

// clientOf returns a client of the core/v1 group with a scheme of only that group.
func clientOf(t *testing.T, url string) rest.Interface {
	t.Helper()
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	client, err := rest.RESTClientFor(&rest.Config{
		Host: url, APIPath: "/api", QPS: -1,
		ContentConfig: rest.ContentConfig{
			GroupVersion:         &corev1.SchemeGroupVersion,
			NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resource := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	q := r.URL.Query()
	w.Header().Set("Content-Type", "application/json")
	s.mu.Lock()
	denied, broken, items := s.denied[resource], s.broken[resource], s.lists[resource]
	s.mu.Unlock()
	switch {
	case denied:
		s.refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden)
	case broken:
		s.refuse(w, http.StatusInternalServerError, metav1.StatusReasonInternalError)
	case q.Get("sendInitialEvents") == "true": // like servers before 1.32
		s.refuse(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid)
	case q.Get("watch") != "":
		s.watch(w, r, resource)
	case strings.Contains(q.Get("fieldSelector"), "kube-nflog-probe"):
		s.write(w, map[string]any{"kind": "PodList", "apiVersion": "v1", "metadata": map[string]string{"resourceVersion": "10"}})
	default:
		s.mu.Lock()
		s.asked = append(s.asked, resource+" "+q.Get("fieldSelector"))
		s.mu.Unlock()
		s.write(w, map[string]any{"kind": strings.ToUpper(resource[:1]) + resource[1:len(resource)-1] + "List", "apiVersion": "v1",
			"metadata": map[string]string{"resourceVersion": "10"}, "items": items})
	}
}

func (s *apiServer) refuse(w http.ResponseWriter, code int, reason metav1.StatusReason) {
	w.WriteHeader(code)
	s.write(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: int32(code), Reason: reason})
}

func (s *apiServer) watch(w http.ResponseWriter, r *http.Request, resource string) {
	w.(http.Flusher).Flush()
	for {
		select {
		case line := <-s.events[resource]:
			if line == "" { // the end of the watch
				return
			}
			_, _ = fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (s *apiServer) write(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.t.Error(err)
	}
}

// tell sends a watch event.
func (s *apiServer) tell(resource, kind string, object runtime.Object) {
	line, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		s.t.Fatal(err)
	}
	s.events[resource] <- string(line)
}

// typed sets the fields that the JSON of an object needs.
func typed(p *corev1.Pod) *corev1.Pod {
	p.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
	return p
}

// start runs the resolver until the test ends, and checks that no goroutine is left.
func start(t *testing.T, r *Resolver) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	waiting, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := r.WaitSynced(waiting); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until the address resolves as wanted.
func eventually(t *testing.T, r *Resolver, address string, when time.Time, want Endpoint) {
	t.Helper()
	var diff string
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-again.C {
		diff = cmp.Diff(want, r.Lookup(addr(address), when), cmpopts.IgnoreFields(Endpoint{}, "IP"))
		if diff == "" {
			return
		}
	}
	t.Fatalf("%s at %v (-want +got):\n%s", address, when, diff)
}

func podNamed(name string) Endpoint {
	return Endpoint{Kind: Pod, Namespace: "shop", Name: name, UID: "uid-" + name, Identifier: "shop/" + name, NodeName: "n1"}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestResolverFollowsTheAPIServer(t *testing.T) {
	api, client := startAPI(t)
	old := typed(madePod("old", "10.0.0.5", "fd00::5"))
	host := typed(madePod("host", "192.168.0.1"))
	host.Spec.HostNetwork = true
	api.lists["pods"] = []runtime.Object{old, host, typed(finish(madePod("job", "10.0.0.9"), time.Minute))}
	api.lists["nodes"] = []runtime.Object{&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Spec:       corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24"}},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "n1"}, {Address: "192.168.0.1"}, {Address: "2001:db8::1"}}},
	}}
	api.lists["services"] = []runtime.Object{&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"},
		Spec:       corev1.ServiceSpec{ClusterIP: "10.96.0.7", ClusterIPs: []string{"10.96.0.7", "fd96::7"}, ExternalIPs: []string{"203.0.113.7"}},
		Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "203.0.113.8"}}}},
	}}
	now := noon().Add(time.Minute)
	var later atomic.Int64
	r, err := New(Config{Now: func() time.Time { return now.Add(time.Duration(later.Load())) }}, client)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Lookup(addr("10.0.0.5"), now); got.Kind != Unknown {
		t.Errorf("before the sync: %+v, want unknown", got)
	}
	start(t, r)

	seen := now.Add(-10 * time.Second)
	service := Endpoint{Kind: Service, Namespace: "shop", Name: "api"}
	for address, want := range map[string]Endpoint{
		"10.0.0.5": podNamed("old"), "fd00::5": podNamed("old"),
		"192.168.0.1": {Kind: Node, Name: "n1"}, "2001:db8::1": {Kind: Node, Name: "n1"},
		"10.96.0.7": service, "fd96::7": service, "203.0.113.8": service,
		"10.0.0.77": {}, "203.0.113.9": {Kind: External},
		"203.0.113.7": {Kind: External}, // everybody may write externalIPs
	} {
		eventually(t, r, address, seen, want)
	}
	later.Store(int64(10 * time.Second))
	api.tell("pods", "DELETED", old)
	eventually(t, r, "10.0.0.5", now.Add(10*time.Second), Endpoint{Ambiguous: true}) // the end came after a silence
	eventually(t, r, "10.0.0.5", seen, podNamed("old"))
	young := typed(change(madePod("young", "10.0.0.5"), func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = *at(70 * time.Second) }))
	api.tell("pods", "ADDED", young)
	later.Store(int64(20 * time.Second))
	eventually(t, r, "10.0.0.5", noon().Add(80*time.Second), podNamed("young"))
	eventually(t, r, "10.0.0.5", seen, podNamed("old"))
}

func TestForbidden(t *testing.T) {
	api, client := startAPI(t)
	api.denied["services"], api.denied["nodes"] = true, true
	api.lists["pods"] = []runtime.Object{typed(madePod("a", "10.0.0.5"))}
	r, err := New(Config{Now: aMinuteLater}, client)
	if err != nil {
		t.Fatal(err)
	}
	start(t, r)
	eventually(t, r, "10.0.0.5", noon().Add(10*time.Second), podNamed("a"))
	if !r.Synced() {
		t.Error("not synced")
	}
}

// TestServicesCannotBeListed checks that the start waits only for pods. Services that
// cannot be listed are missing.
func TestServicesCannotBeListed(t *testing.T) {
	t.Parallel()
	api, client := startAPI(t)
	api.broken["services"] = true
	api.lists["pods"] = []runtime.Object{typed(madePod("a", "10.0.0.5"))}
	r, err := New(Config{Now: aMinuteLater}, client)
	if err != nil {
		t.Fatal(err)
	}
	start(t, r)
	eventually(t, r, "10.0.0.5", noon().Add(10*time.Second), podNamed("a"))
}

func TestNodeScopeAsksForItsOwn(t *testing.T) {
	api, client := startAPI(t)
	r, err := New(Config{Scope: NodeScope, NodeName: "n1", NoServices: true}, client)
	if err != nil {
		t.Fatal(err)
	}
	start(t, r)
	api.mu.Lock()
	defer api.mu.Unlock()
	want := []string{"nodes metadata.name=n1", "pods spec.nodeName=n1"}
	if diff := cmp.Diff(want, api.asked, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
}

func TestWithoutCluster(t *testing.T) {
	r, err := New(Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	start(t, r)
	want := Endpoint{IP: addr("203.0.113.9"), Kind: External}
	if diff := cmp.Diff(want, r.Lookup(want.IP, noon()), cmp.Comparer(func(a, b interface{ String() string }) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	_, err := New(Config{Scope: NodeScope, Identifier: LabelValue, DNSQPS: -1}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"node's name", "label's key", "negative"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not mention %q", err, want)
		}
	}
}
