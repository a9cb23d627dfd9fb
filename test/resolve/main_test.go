// Package resolve tests package resolve with a real API server and the rights of deploy/,
// and with a DNS server.
package resolve

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/coreapi"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

const (
	namespace = "shop"
	thisNode  = "node-1"
	otherNode = "node-2"
	patience  = 90 * time.Second
)

// world is the control plane of all tests, and the agent's client.
type world struct {
	*controlplane.ControlPlane
	client rest.Interface
}

// shared is set by TestMain before any test runs.
var shared world

func TestMain(m *testing.M) { os.Exit(system.RunPlane(m, "../..", shared.prepare)) }

// prepare creates the agent's account, a namespace and two Nodes.
func (w *world) prepare(ctx context.Context, cp *controlplane.ControlPlane, _ string) error {
	w.ControlPlane = cp
	account, err := w.InstallAgent(ctx, "../../deploy")
	if err != nil {
		return err
	}
	kubeconfig, err := w.ServiceAccountKubeconfig(ctx, account)
	if err != nil {
		return err
	}
	if w.client, err = coreapi.Client("", kubeconfig); err != nil {
		return err
	}
	if err := w.CreateNamespace(ctx, namespace); err != nil {
		return err
	}
	if err := w.CreateNode(ctx, thisNode, addr("192.0.2.1"), addr("2001:db8::1")); err != nil {
		return err
	}
	return w.CreateNode(ctx, otherNode, addr("192.0.2.2"))
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// start runs a synced Resolver until the test ends.
func start(t *testing.T, cfg resolve.Config) *resolve.Resolver {
	t.Helper()
	return startWith(t, cfg, shared.client)
}

// startWith is like start, with another client.
func startWith(t *testing.T, cfg resolve.Config, client rest.Interface) *resolve.Resolver {
	t.Helper()
	if cfg.NodeName == "" {
		cfg.NodeName = thisNode
	}
	r, err := resolve.New(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := r.WaitSynced(waiting); err != nil {
		t.Fatal(err)
	}
	return r
}

// create creates a running pod, and removes it after the test.
func create(t *testing.T, p controlplane.Pod) resolve.Endpoint {
	t.Helper()
	p.Namespace = namespace
	if p.Node == "" {
		p.Node = thisNode
	}
	made, err := shared.CreatePod(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, p.Name) })
	return resolve.Endpoint{
		Kind: resolve.Pod, Namespace: namespace, Name: p.Name, UID: string(made.UID),
		Identifier: namespace + "/" + p.Name, NodeName: p.Node,
	}
}

// remove deletes a pod at once, as the kubelet does when it has stopped the pod.
func remove(t *testing.T, name string) {
	t.Helper()
	now := int64(0)
	err := shared.Client().CoreV1().Pods(namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !t.Failed() && t.Context().Err() == nil {
		t.Error(err)
	}
}

// eventually waits until the address resolves as wanted.
func eventually(t *testing.T, r *resolve.Resolver, address string, at time.Time, want resolve.Endpoint) {
	t.Helper()
	until(t, func() string { return differs(want, r.Lookup(addr(address), at)) })
}

// waits expects that nothing is known of the address yet, and that a flow waits for it.
func waits(t *testing.T, r *resolve.Resolver, address string, at time.Time) {
	t.Helper()
	if e, again := r.LookupBetween(addr(address), at, at); e.Kind != resolve.Unknown || again == 0 {
		t.Fatalf("%s is %+v, and a flow waits for %v; want one that waits for an unknown end", address, e, again)
	}
}

// waitFor looks the address up as often as the resolver says, and returns the last
// endpoint.
func waitFor(t *testing.T, r *resolve.Resolver, address string, at time.Time) resolve.Endpoint {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		e, again := r.LookupBetween(addr(address), at, at)
		if again == 0 {
			return e
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: the flow waits for too long", address)
		}
		<-time.After(again)
	}
}

// until waits until wrong returns "".
func until(t *testing.T, wrong func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	diff := "never looked"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if diff = wrong(); diff == "" {
			return
		}
	}
	t.Fatal(diff)
}

func differs(want, got resolve.Endpoint) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(resolve.Endpoint{}, "IP"))
}

func is(t *testing.T, r *resolve.Resolver, address string, at time.Time, want resolve.Endpoint) {
	t.Helper()
	if diff := differs(want, r.Lookup(addr(address), at)); diff != "" {
		t.Errorf("%s at %v (-want +got):\n%s", address, at, diff)
	}
}
