package test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// group is the NFLOG group of the tests that use one.
const group = 100

// outside4 and outside6 are the addresses of the outside host in every scene.
var (
	outside4 = netip.MustParseAddr("203.0.113.10")
	outside6 = netip.MustParseAddr("2001:db8::10")
)

// end is a source or a destination of traffic.
type end struct {
	*netlab.Namespace
	v4, v6 netip.Addr
}

// in returns the end's address of the family, 4 or 6.
func (e end) in(family int) netip.Addr {
	if family == 6 {
		return e.v6
	}
	return e.v4
}

// scene is the environment of one test: a node, two pods, client and server, and an outside
// host. No other test uses its Kubernetes namespace and its addresses.
type scene struct {
	*system.System
	ctx       context.Context //nolint:containedctx // a scene belongs to one test, and so does its deadline
	plane     *controlplane.ControlPlane
	nodeName  string
	namespace string
	router    *netlab.Node // the node's namespace
	node      end
	client    end
	server    end
	outside   end
}

// patience is how long a scene may take on a busy machine.
const patience = 3 * time.Minute

// newScene creates a scene in the shared control plane.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := shared.Get(t)
	return newSceneIn(t, s, s.ControlPlane)
}

// newSceneIn creates a scene in another control plane.
func newSceneIn(t *testing.T, sys *system.System, cp *controlplane.ControlPlane) *scene {
	t.Helper()
	number := sys.Scene()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &scene{
		System: sys, ctx: ctx, plane: cp,
		nodeName: fmt.Sprintf("node-%d", number), namespace: fmt.Sprintf("shop-%d", number),
	}
	v4 := func(host int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, 10 + byte(number>>8), byte(number), byte(host)})
	}
	v6 := func(host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd00:10:%x::%x", number, host)) }
	var err error
	if s.router, err = sys.Lab.NewNode(s.nodeName, v4(1), v6(1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, s.router.Close()) })
	s.node = end{s.router.Namespace, v4(1), v6(1)}
	s.client = s.attach(t, "client", v4(5), v6(5))
	s.server = s.attach(t, "server", v4(7), v6(7))
	s.outside = s.attach(t, "outside", outside4, outside6)

	system.Must(t, cp.CreateNode(ctx, s.nodeName, s.node.v4, s.node.v6))
	system.Must(t, cp.CreateNamespace(ctx, s.namespace))
	s.createPod(t, "client", s.client)
	s.createPod(t, "server", s.server)
	return s
}

func (s *scene) attach(t *testing.T, name string, v4, v6 netip.Addr) end {
	t.Helper()
	ns, err := s.router.Attach(name, v4, v6)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, ns.Close()) })
	return end{ns, v4, v6}
}

func (s *scene) createPod(t *testing.T, name string, at end) {
	t.Helper()
	pod := controlplane.Pod{Namespace: s.namespace, Name: name, Node: s.nodeName, Addresses: []netip.Addr{at.v4, at.v6}}
	if _, err := s.plane.CreatePod(s.ctx, pod); err != nil {
		t.Fatal(err)
	}
}

// createHostNetworkPod makes a pod that shares the node's addresses.
func (s *scene) createHostNetworkPod(t *testing.T, name string) {
	t.Helper()
	pod := controlplane.Pod{
		Namespace: s.namespace, Name: name, Node: s.nodeName, HostNetwork: true,
		Addresses: []netip.Addr{s.node.v4, s.node.v6},
	}
	if _, err := s.plane.CreatePod(s.ctx, pod); err != nil {
		t.Fatal(err)
	}
}

// start runs an agent on the scene's node with the settings of cfg. It kills the agent at
// the end of the test if it still runs.
func (s *scene) start(t *testing.T, cfg agent.Config) *agent.Agent {
	t.Helper()
	cfg.Binary, cfg.Node, cfg.NodeName = agentBinary, s.router.Namespace, s.nodeName
	if cfg.Kubeconfig == "" {
		cfg.Kubeconfig = s.Kubeconfig
	}
	// Most tests have no NetworkPolicies, so they need no reasons. TestExplain has both.
	if !cfg.Bare && !slices.Contains(cfg.Args, "--explain") {
		cfg.Args = append(slices.Clone(cfg.Args), "--explain=false")
	}
	if cfg.Groups == nil {
		cfg.Groups = []uint16{group}
	}
	a, err := agent.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		system.Must(t, a.Kill())
		if t.Failed() {
			t.Logf("the agent's log:\n%s", a.Log())
		}
	})
	return a
}

// startReady is like start, and waits until the agent is ready.
func (s *scene) startReady(t *testing.T, cfg agent.Config) *agent.Agent {
	t.Helper()
	a := s.start(t, cfg)
	system.Must(t, a.WaitReady(s.ctx))
	return a
}

// run runs a command on the node, such as iptables.
func (s *scene) run(t *testing.T, command ...string) string {
	t.Helper()
	out, err := s.router.Command(s.ctx, command[0], command[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// listEvents returns the events about a pod as the API server has them.
func (s *scene) listEvents(t *testing.T, pod string) []event {
	t.Helper()
	list, err := s.plane.Client().CoreV1().Events(s.namespace).List(s.ctx,
		metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod,involvedObject.name=" + pod})
	if err != nil {
		t.Fatal(err)
	}
	var events []event
	for i := range list.Items {
		events = append(events, newEvent(&list.Items[i]))
	}
	return events
}

// await waits until f returns no error.
func (s *scene) await(t *testing.T, f func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error // the last one from before the deadline; later ones only tell of the deadline
	for {
		err := f()
		if err == nil {
			return
		}
		if s.ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-s.ctx.Done():
			t.Fatalf("still after %v: %v", patience, last)
		case <-tick.C:
		}
	}
}

// awaitMetric waits until the sum of a metric's samples with the labels is at least least.
func (s *scene) awaitMetric(t *testing.T, a *agent.Agent, least float64, name string, labels ...string) {
	t.Helper()
	s.await(t, func() error {
		metrics, err := a.Metrics(s.ctx)
		if got := metrics.Sum(name, labels...); err == nil && got < least {
			err = fmt.Errorf("%s %v is %v, want %v", name, labels, got, least)
		}
		return err
	})
}

// awaitReceived waits until the agent has received that many packets.
func (s *scene) awaitReceived(t *testing.T, a *agent.Agent, want float64) {
	t.Helper()
	s.awaitMetric(t, a, want, "kube_nflog_packets_received_total")
}
