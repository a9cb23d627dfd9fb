package emit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

var binaries = sync.OnceValues(func() (controlplane.Binaries, error) {
	return controlplane.Build(context.Background(), controlplane.BuildConfig{ModuleDir: "..", Dir: "../../bin/controlplane"})
})

// cluster is a control plane with the agent's account and a namespace "shop".
type cluster struct {
	*controlplane.ControlPlane
	agent string // path of the agent's kubeconfig
}

func startCluster(t *testing.T, cfg controlplane.Config) *cluster {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Binaries, cfg.Dir = bin, t.TempDir()
	cp, err := controlplane.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	account, err := cp.InstallAgent(t.Context(), "../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{ControlPlane: cp}
	if c.agent, err = cp.ServiceAccountKubeconfig(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	if err := cp.CreateNamespace(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	return c
}

// client returns a client with the agent's account, like the agent's own. host replaces the
// API server's address, unless it is "".
func (c *cluster) client(t *testing.T, host string) rest.Interface {
	t.Helper()
	client, err := agentClient(c.agent, host)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func agentClient(kubeconfig, host string) (rest.Interface, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	if host != "" {
		cfg.Host = host
	}
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	cfg.APIPath, cfg.GroupVersion, cfg.QPS = "/api", &corev1.SchemeGroupVersion, -1
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	return rest.RESTClientFor(cfg)
}

// pod creates a pod and returns the endpoint to which an agent on its node resolves it.
func (c *cluster) pod(t *testing.T, namespace, name, ip string) resolve.Endpoint {
	t.Helper()
	addr := netip.MustParseAddr(ip)
	p, err := c.CreatePod(t.Context(), controlplane.Pod{Namespace: namespace, Name: name, Node: "n1", Addresses: []netip.Addr{addr}})
	if err != nil {
		t.Fatal(err)
	}
	return resolve.Endpoint{
		IP: addr, Kind: resolve.Pod, Namespace: namespace, Name: name, UID: string(p.UID),
		Identifier: namespace + "/" + name, NodeName: "n1",
	}
}

// running is a running emitter.
type running struct {
	*event.Sink
	metrics *prometheus.Registry
	stop    func() // ends Run without Flush; may be called several times
}

func start(t *testing.T, client rest.Interface, cfg event.Config) *running {
	t.Helper()
	r := &running{metrics: prometheus.NewPedanticRegistry()}
	cfg.NodeName, cfg.Registerer = "n1", r.metrics
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	if r.Sink, err = event.New(cfg, client); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// finish ends Run and flushes.
func (r *running) finish(t *testing.T) {
	t.Helper()
	r.stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// metric returns the sum of a metric's series with these label values. "" matches every
// value.
func (r *running) metric(t *testing.T, name string, values ...string) (sum float64) {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			match := true
			for _, want := range values {
				found := want == ""
				for _, l := range m.GetLabel() {
					found = found || l.GetValue() == want
				}
				match = match && found
			}
			if f.GetName() == name && match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func external(ip string) resolve.Endpoint {
	return resolve.Endpoint{IP: netip.MustParseAddr(ip), Kind: resolve.External}
}

// tcp returns a flow of SYN packets with the current time.
func tcp(src, dst resolve.Endpoint, port uint16, packets uint64) *emit.DroppedFlow {
	f := flow.Flow{
		Group: 100, Hook: decode.HookForward, Family: decode.IPv4, Protocol: decode.TCP,
		Source: src.IP, Destination: dst.IP, SourcePort: 43210, DestinationPort: port, HasPorts: true,
		TCPFlags: decode.SYN, FirstSeen: time.Now(), LastSeen: time.Now(), Packets: packets, Bytes: 60 * packets,
	}
	return &emit.DroppedFlow{Flow: f, Source: src, Destination: dst}
}

// total returns the sum of the counts of a namespace's events.
func (c *cluster) total(t *testing.T, namespace string) (sum int64, objects int) {
	t.Helper()
	list, err := c.Client().CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range list.Items {
		sum += int64(ev.Count)
	}
	return sum, len(list.Items)
}

// wait waits until the counts of a namespace's events add up to want.
func (c *cluster) wait(t *testing.T, namespace string, want int64, limit time.Duration) {
	t.Helper()
	var sum int64
	eventually(t, limit, func() bool {
		sum, _ = c.total(t, namespace)
		return sum == want
	}, func() string { return fmt.Sprintf("the events count %d, want %d", sum, want) })
}

// patience allows for a busy machine. On a quiet one the tests wait for seconds.
const patience = 2 * time.Minute

// eventually calls ok until it returns true.
func eventually(t *testing.T, limit time.Duration, ok func() bool, otherwise func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %v: %s", limit, otherwise())
		}
	}
}
