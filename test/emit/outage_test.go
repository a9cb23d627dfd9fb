package emit_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

func podName(i int) string { return fmt.Sprintf("api-%d", i) }

// load adds one flow with one packet for each of the pods.
func load(e *running, pods int) {
	peer := external("203.0.113.9")
	for i := range pods {
		self := external("10.0.1.7")
		self.Kind, self.Namespace, self.Name, self.UID = 1, "shop", podName(i), podName(i)
		e.Add(tcp(peer, self, 80, 1))
	}
}

func TestAPIServerKilledAndRestarted(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	e := start(t, c.client(t, ""), event.Config{})
	load(e, 30)
	if err := c.KillAPIServer(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 50 {
		<-tick.C
		load(e, 30)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	c.wait(t, "shop", 51*30, patience)
	t.Logf("caught up %v after the API server was ready", time.Since(back).Round(time.Millisecond))
	if got := e.metric(t, "kube_nflog_event_packets_written_total", ""); got != 51*30 {
		t.Errorf("%v packets written, want %d", got, 51*30)
	}
}

func TestRBACRevokedAndGivenBack(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	e := start(t, c.client(t, ""), event.Config{})
	bindings := c.Client().RbacV1().ClusterRoleBindings()
	list, err := bindings.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var revoked []rbacv1.ClusterRoleBinding
	for _, b := range list.Items {
		if len(b.Subjects) == 1 && b.Subjects[0].Kind == "ServiceAccount" && b.Subjects[0].Namespace == "kube-nflog" {
			revoked = append(revoked, b)
		}
	}
	if len(revoked) == 0 {
		t.Fatal("deploy/ binds no ClusterRole to the agent")
	}
	for _, b := range revoked {
		if err := bindings.Delete(t.Context(), b.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var jump atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
	probe := start(t, c.client(t, ""), event.Config{Namespaces: []string{"shop"}, Now: now})
	eventually(t, patience, func() bool { // the authorizer sees the change through a watch
		load(probe, 1)
		return probe.metric(t, "kube_nflog_event_writes_total", "forbidden") > 0
	}, func() string { return "no call is forbidden" })
	if err := probe.Refused(); err != nil {
		t.Errorf("refused at once: %v", err)
	}
	jump.Store(int64(2 * time.Minute)) // readyz fails after all writes were refused for a minute
	eventually(t, patience, func() bool {
		load(probe, 1)
		return probe.Refused() != nil
	}, func() string { return "every write is forbidden, and the emitter does not report it" })
	probe.stop()
	written, _ := c.total(t, "shop")
	load(e, 20)
	eventually(t, patience, func() bool { return e.metric(t, "kube_nflog_event_writes_total", "forbidden") > 0 },
		func() string { return "no call is forbidden" })
	for _, b := range revoked {
		b.ResourceVersion, b.UID = "", ""
		if _, err := bindings.Create(t.Context(), &b, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.wait(t, "shop", written+20, patience)
	if got := e.metric(t, "kube_nflog_event_writes_total", "forbidden"); got > 10 {
		t.Errorf("%v calls were forbidden, want a few", got)
	}
}

func TestNamespaceDeletedUnderWay(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	if err := c.CreateNamespace(t.Context(), "bank"); err != nil {
		t.Fatal(err)
	}
	e := start(t, c.client(t, ""), event.Config{})
	namespaces := c.Client().CoreV1().Namespaces()
	if err := namespaces.Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// No controller finishes the deletion here, so the namespace stays terminating.
	load(e, 20)
	eventually(t, patience, func() bool { return e.metric(t, "kube_nflog_event_packets_unwritten_total", "namespace_gone") == 20 },
		func() string { return "the packets for a terminating namespace are not counted" })
	ns, err := namespaces.Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ns.Spec.Finalizers = []corev1.FinalizerName{}
	if _, err := namespaces.Finalize(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	gone := start(t, c.client(t, ""), event.Config{})
	load(gone, 20)
	eventually(t, patience, func() bool {
		return gone.metric(t, "kube_nflog_event_packets_unwritten_total", "namespace_gone") == 20
	}, func() string { return "the packets for a namespace that is gone are not counted" })
	// Other namespaces must not be delayed.
	self, peer := c.pod(t, "bank", "ledger", "10.0.3.3"), external("203.0.113.9")
	e.Add(tcp(peer, self, 80, 4))
	c.wait(t, "bank", 4, patience)
}

// proxy forwards TCP connections to the API server. It delays each piece of data; the delay
// may change at any time.
func proxy(t *testing.T, target string, delay *atomic.Int64) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := new(net.Dialer).DialContext(context.Background(), "tcp", u.Host)
			if err != nil {
				_ = client.Close()
				continue
			}
			go forward(server, client, &atomic.Int64{})
			go forward(client, server, delay)
		}
	}()
	return "https://" + l.Addr().String()
}

func forward(to, from net.Conn, delay *atomic.Int64) {
	defer func() {
		_, _ = to.Close(), from.Close() // one side has closed it, so both are finished
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		<-time.After(time.Duration(delay.Load()))
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestSlowAPIServer(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	var delay atomic.Int64
	e := start(t, c.client(t, proxy(t, c.URL(), &delay)), event.Config{CallTimeout: 2 * time.Second})
	load(e, 1)
	c.wait(t, "shop", 1, patience)

	delay.Store(int64(700 * time.Millisecond))
	load(e, 20)
	c.wait(t, "shop", 21, patience)

	// This is longer than the deadline: the server writes, but its answers come too late.
	delay.Store(int64(4 * time.Second))
	load(e, 40)
	eventually(t, patience, func() bool { return e.metric(t, "kube_nflog_event_writes_total", "timeout") >= 3 },
		func() string { return "no call timed out" })
	delay.Store(0)
	c.wait(t, "shop", 61, patience)
	e.finish(t)
	if sum, _ := c.total(t, "shop"); sum != 61 {
		t.Errorf("the events count %d, want 61", sum)
	}
}
