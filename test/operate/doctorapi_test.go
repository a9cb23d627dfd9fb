package operate

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// account creates a service account and a ClusterRole. Each role is verbs and resources. It
// returns the account's kubeconfig.
func (s *scene) account(t *testing.T, name string, roles ...[2]string) string {
	t.Helper()
	kubectl := func(args ...string) {
		t.Helper()
		if _, err := s.ControlPlane.Kubectl(s.ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	kubectl("create", "serviceaccount", "-n", "kube-nflog", name)
	for i, r := range roles {
		role := name + string(rune('a'+i))
		kubectl("create", "clusterrole", role, "--verb="+r[0], "--resource="+r[1])
		kubectl("create", "clusterrolebinding", role, "--clusterrole="+role, "--serviceaccount=kube-nflog:"+name)
	}
	path, err := s.ControlPlane.ServiceAccountKubeconfig(s.ctx, types.NamespacedName{Namespace: "kube-nflog", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDoctorRights runs doctor without some permissions.
func TestDoctorRights(t *testing.T) {
	s := newScene(t)
	reader := s.account(t, "reader", [2]string{"list,watch", "pods,nodes"}, [2]string{"create", "events"})
	found, status := s.doctor(t, nil, "--kubeconfig", reader)
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found,
		want{"rights", "problem", "not permitted: patch events; events are written once", "ClusterRole of the agent patch events"},
		want{"rights", "note", "not permitted: list services", "list services"},
		want{"rights", "note", "not permitted: watch services", "watch services"},
		want{"rights", "note", "not permitted: list networkpolicies; events do not name", "list networkpolicies"},
		want{"rights", "note", "not permitted: watch namespaces; events do not name", "--explain=false|watch namespaces"},
		want{"pods", "ok", `there are \d+ pods`, ""},
	)
	count := 0
	for _, f := range found {
		if f.Check == "rights" {
			count++
		}
	}
	if count != 7 {
		t.Errorf("%d findings about rights, want 7", count)
	}

	found, _ = s.doctor(t, nil, "--kubeconfig", s.account(t, "nobody"))
	wantFindings(t, found,
		want{"rights", "problem", "not permitted: create events; no events are written", ""},
		want{"rights", "problem", "not permitted: watch pods; no address is known as a pod's", ""},
		want{"pods", "note", "the pods were not counted: .*403 Forbidden", ""},
	)
}

// TestDoctorKubeconfig expects that doctor finds the cluster as kubectl does.
func TestDoctorKubeconfig(t *testing.T) {
	s := newScene(t)
	found, _ := s.doctor(t, []string{"env", "KUBECONFIG=/no/such/file:" + s.Kubeconfig})
	wantFindings(t, found,
		want{"api", "ok", "API server at https://198.18.0.1:.* answers", "^$"},
		want{"rights", "ok", "all 12 permissions .*yours, not the agent's", "^$"},
	)
}

// TestDoctorAPIAway runs doctor with no API server, with one that does not answer, and with
// an invalid token.
func TestDoctorAPIAway(t *testing.T) {
	s := newScene(t)
	found, status := s.doctor(t, nil, "--kubeconfig", s.Kubeconfig, "--kube-api-server", "https://198.18.0.1:1")
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found, want{"api", "problem", "does not answer: .*connection refused", "https://198.18.0.1:1/readyz"})

	silent, err := new(net.ListenConfig).Listen(s.ctx, "tcp", "198.18.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { system.Must(t, silent.Close()) }()
	found, _ = s.doctor(t, nil, "--kubeconfig", s.Kubeconfig, "--kube-api-server", "https://"+silent.Addr().String())
	wantFindings(t, found, want{"api", "problem", "does not answer: .*deadline exceeded", ""})

	found, _ = s.doctor(t, nil, "--kube-api-server", s.proxy(t, 0, "no token"))
	wantFindings(t, found, want{"api", "problem", "401 Unauthorized", "certificates"})
}

// TestDoctorSkew runs doctor with an API server whose clock seems an hour late. A proxy
// before the real one changes the time.
func TestDoctorSkew(t *testing.T) {
	s := newScene(t)
	for _, hours := range []time.Duration{-time.Hour, time.Hour} {
		found, status := s.doctor(t, nil, "--kube-api-server", s.proxy(t, hours, ""))
		if status != 1 {
			t.Errorf("exit status %d", status)
		}
		wantFindings(t, found,
			want{"skew", "problem", `about (1h0m\ds|59m5\ds|1h0m0s) apart`, "synchronise"},
			want{"rights", "ok", "all 12", ""},
		)
	}
}

// proxy is a proxy before the API server. It uses the agent's token unless another is
// given, and shifts the time in the answers.
func (s *scene) proxy(t *testing.T, shift time.Duration, token string) string {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		cfg.BearerToken = token
	}
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	if proxy.Transport, err = rest.TransportFor(cfg); err != nil {
		t.Fatal(err)
	}
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", time.Now().Add(shift).UTC().Format(http.TimeFormat))
		return nil
	}
	l, err := new(net.ListenConfig).Listen(s.ctx, "tcp", "198.18.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: proxy, ReadHeaderTimeout: time.Second}}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// TestDoctorAgent examines agents that ignore packets, lose packets, or may not write
// events.
func TestDoctorAgent(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	found, _ := s.doctor(t, nil)
	wantFindings(t, found, want{"agent", "note", "no agent answers on this host at 127.0.0.1:19090, 127.0.0.1:9090", "--agent-address"})

	a := s.startAgent(t, agent.Config{Listen: "127.0.0.1:7777", Args: []string{"--prefix", "other"}})
	s.send(t, client4, server4, 8080, 3)
	s.awaitMetric(t, a, "kube_nflog_packets_ignored_total", 3)
	found, _ = s.doctor(t, nil, "--agent-address", "127.0.0.1:7777")
	wantFindings(t, found,
		want{"agent", "ok", "at 127.0.0.1:7777; it has received 3 packets of group 100", ""},
		want{"agent-ignored", "note", "ignored 3 packets", "--prefix"},
	)
	system.Must(t, a.Stop(s.ctx))
}

// TestDoctorAgentLosses pauses an agent's process until the kernel has lost some of its
// packets.
func TestDoctorAgentLosses(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	a := s.startAgent(t, agent.Config{})
	system.Must(t, a.Signal(syscall.SIGSTOP))
	flood := netlab.Packet{Source: client4, Destination: server4, Protocol: netlab.UDP, DestinationPort: 53, PayloadLength: 64}
	system.Must(t, s.client.Send(flood, 150_000))
	system.Must(t, a.Signal(syscall.SIGCONT))
	s.await(t, "losses", func() bool {
		s.send(t, client4, server4, 8080, 1) // its number shows the gap, unless the buffer is still full
		m, err := a.Metrics(s.ctx)
		return err == nil && m.Sum("kube_nflog_packets_lost_total") > 0
	}, a.Log)
	found, _ := s.doctor(t, nil)
	wantFindings(t, found, want{"agent-losses", "note", `could not deliver \d+ packets`, "--limit"})
}

// TestDoctorAgentRights runs an agent that may not write events.
func TestDoctorAgentRights(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	weak := s.account(t, "weak", [2]string{"list,watch", "pods,nodes,services"})
	s.createPod(t, "weak", "api", server4)
	a := s.startAgent(t, agent.Config{Kubeconfig: weak, Args: []string{"--reverse-dns=false"}})
	s.send(t, client4, server4, 8080, 3)
	s.awaitMetric(t, a, "kube_nflog_event_writes_total", 1)
	found, _ := s.doctor(t, nil, "--kubeconfig", weak)
	wantFindings(t, found,
		want{"agent-writes", "note", "post forbidden [1-9]", "rights"},
		want{"agent-suppressed", "note", "not_pod 1", ""},
		want{"rights", "problem", "not permitted: create events", ""},
	)

	away := agent.Config{
		Binary: agentBinary, Node: s.node.Namespace, NodeName: "node-1", Kubeconfig: s.Kubeconfig, Groups: []uint16{7}, Listen: "127.0.0.1:7777",
		Args: []string{"--kube-api-server", "https://198.18.0.1:1"},
	}
	b, err := agent.Start(away)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, b.Kill()) })
	system.Must(t, b.WaitAnswer(s.ctx, "/healthz", http.StatusOK))
	found, _ = s.doctor(t, nil, "--group", "7", "--agent-address", "127.0.0.1:7777")
	wantFindings(t, found, want{"agent-ready", "problem", "not ready: 503 .*pods are not known yet", "other findings"})
}

// awaitMetric waits until the agent's metric is at least least.
func (s *scene) awaitMetric(t *testing.T, a *agent.Agent, name string, least float64) {
	t.Helper()
	var m agent.Metrics
	reached := func() bool {
		var err error
		m, err = a.Metrics(s.ctx)
		return err == nil && m.Sum(name) >= least
	}
	s.await(t, name, reached, a.Log)
}
