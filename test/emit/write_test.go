package emit_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

func TestRestartGoesOnCounting(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	self, peer := c.pod(t, "shop", "api", "10.0.1.7"), external("203.0.113.9")
	for run, packets := range []uint64{5, 7, 11} {
		e := start(t, c.client(t, ""), event.Config{})
		e.Add(tcp(peer, self, 80, packets))
		c.wait(t, "shop", []int64{5, 12, 23}[run], patience)
		e.finish(t)
		if got, want := e.metric(t, "kube_nflog_event_packets_written_total", ""), float64(packets); got != want {
			t.Errorf("run %d: %v packets written, want %v", run, got, want)
		}
		// A patch tells the API server to drop the managed fields.
		list, err := c.Client().CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("run %d: %d events (%v), want 1", run, len(list.Items), err)
		}
		managed := len(list.Items[0].ManagedFields)
		t.Logf("run %d: the event takes %d bytes, with %d entries of managed fields", run, list.Items[0].Size(), managed)
		if patched := run > 0; patched == (managed > 0) {
			t.Errorf("run %d: %d entries of managed fields, patched %t", run, managed, patched)
		}
	}
}

// agentEnv makes the test binary an agent that writes one flow and then waits.
const agentEnv = "KUBE_NFLOG_TEST_AGENT_KUBECONFIG"

func TestMain(m *testing.M) {
	if kubeconfig := os.Getenv(agentEnv); kubeconfig != "" {
		os.Exit(beAgent(kubeconfig))
	}
	os.Exit(m.Run())
}

func beAgent(kubeconfig string) int {
	client, err := agentClient(kubeconfig, "")
	if err != nil {
		return 1
	}
	e, err := event.New(event.Config{NodeName: "n1"}, client)
	if err != nil {
		return 1
	}
	self, peer := external("10.0.1.7"), external("203.0.113.9")
	self.Kind, self.Namespace, self.Name, self.UID = 1, "shop", "api", "1234"
	e.Add(tcp(peer, self, 80, 5))
	if err := e.Run(context.Background()); err != nil {
		return 1
	}
	return 0
}

func TestKilledAgentGoesOnCounting(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	for run := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), agentEnv+"="+c.agent)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c.wait(t, "shop", int64(5*(run+1)), patience)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the error is ignored: the process was killed
	}
	if _, objects := c.total(t, "shop"); objects != 1 {
		t.Errorf("%d events, want 1", objects)
	}
}

func TestDeletedEventStartsAnew(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	self, peer := c.pod(t, "shop", "api", "10.0.1.7"), external("203.0.113.9")
	e := start(t, c.client(t, ""), event.Config{})
	e.Add(tcp(peer, self, 80, 100))
	c.wait(t, "shop", 100, patience)
	if err := c.Client().CoreV1().Events("shop").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	e.Add(tcp(peer, self, 80, 3))
	c.wait(t, "shop", 3, patience)
	e.finish(t)
	if got := e.metric(t, "kube_nflog_event_writes_total", "missing"); got != 1 {
		t.Errorf("%v patches met no event, want 1", got)
	}
}

// TestExpiredEventStartsAnew waits until the API server's TTL removes an event. etcd shares
// leases between events, so an event may live a minute longer than the TTL.
func TestExpiredEventStartsAnew(t *testing.T) {
	t.Parallel()
	c := startCluster(t, controlplane.Config{EventTTL: 5 * time.Second})
	self, peer := c.pod(t, "shop", "api", "10.0.1.7"), external("203.0.113.9")
	e := start(t, c.client(t, ""), event.Config{})
	e.Add(tcp(peer, self, 80, 100))
	c.wait(t, "shop", 100, patience)
	c.wait(t, "shop", 0, 3*time.Minute)
	e.Add(tcp(peer, self, 80, 3))
	c.wait(t, "shop", 3, patience)
}

func TestEventRateLimit(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "admission.yaml")
	if err := os.WriteFile(config, []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits:
    - {type: Server, qps: 5, burst: 10}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, controlplane.Config{AdmissionPlugins: []string{"EventRateLimit"}, AdmissionConfig: config})
	e := start(t, c.client(t, ""), event.Config{})
	peer := external("203.0.113.9")
	const flows = 60
	for i := range flows {
		self := external("10.0.1.7")
		self.Kind, self.Namespace, self.Name, self.UID = 1, "shop", podName(i), podName(i)
		e.Add(tcp(peer, self, 80, 10))
	}
	c.wait(t, "shop", flows*10, patience)
	throttled := e.metric(t, "kube_nflog_event_writes_total", "throttled")
	t.Logf("%v calls throttled for %d events", throttled, flows)
	if throttled == 0 || throttled > flows {
		t.Errorf("%v calls were throttled, want some, and fewer than events", throttled)
	}
}
