package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// world is a node with two pods, the agent on it, and the control plane.
type world struct {
	plane  *controlplane.ControlPlane
	agent  *agent.Agent
	client *netlab.Namespace
	kube   kubernetes.Interface
	held   int // policies
	next   int // numbers the changes
}

const (
	namespace = "shop"
	nodeName  = "node-1"
)

var (
	nodeAddress = netip.MustParseAddr("10.1.0.1")
	from, to    = netip.MustParseAddr("10.1.1.5"), netip.MustParseAddr("10.1.1.7")
)

func newWorld(ctx context.Context, o *options) (*world, error) {
	lab, err := netlab.NewLab()
	if err != nil {
		return nil, err
	}
	binaries, err := controlplane.Locate(controlBin)
	if err != nil {
		return nil, err
	}
	w := &world{held: o.policies}
	w.plane, err = controlplane.Start(ctx, controlplane.Config{
		Binaries: binaries, Dir: filepath.Join(netlab.Scratch, "control"), Address: netlab.ControlAddress(),
	})
	if err != nil {
		return nil, err
	}
	if err := w.fill(ctx, lab); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) close() error {
	var err error
	if w.agent != nil {
		err = w.agent.Kill()
	}
	return errors.Join(err, w.plane.Stop())
}

func (w *world) fill(ctx context.Context, lab *netlab.Lab) error {
	w.kube = w.plane.Client()
	node, err := lab.NewNode(nodeName, nodeAddress)
	if err != nil {
		return err
	}
	if w.client, err = node.Attach("client", from); err != nil {
		return err
	}
	if _, err := node.Attach("server", to); err != nil {
		return err
	}
	if _, err := node.Command(ctx, "nft", `add table inet deny
		add chain inet deny forward { type filter hook forward priority 0; }
		add rule inet deny forward log prefix "deny" group 100 drop`); err != nil {
		return err
	}
	if err := errors.Join(w.plane.CreateNode(ctx, nodeName, nodeAddress), w.plane.CreateNamespace(ctx, namespace)); err != nil {
		return err
	}
	for name, address := range map[string]netip.Addr{"client": from, "server": to} {
		pod := controlplane.Pod{Namespace: namespace, Name: name, Node: nodeName, Addresses: []netip.Addr{address}, Labels: map[string]string{"app": name}}
		if _, err := w.plane.CreatePod(ctx, pod); err != nil {
			return err
		}
	}
	for i := range w.held {
		if _, err := w.kube.NetworkingV1().NetworkPolicies(namespace).Create(ctx, newPolicy(i), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return w.startAgent(ctx, node)
}

// newPolicy returns a policy that selects the server and allows another pod at a port.
func newPolicy(i int) *networkingv1.NetworkPolicy {
	port := intstr.FromInt32(9090)
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: policyName(i)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "server"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprintf("client-%d", i)}}},
				},
				Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
			}},
		},
	}
}

func policyName(i int) string { return fmt.Sprintf("policy-%d", i) }

func (w *world) startAgent(ctx context.Context, node *netlab.Node) error {
	account, err := w.plane.InstallAgent(ctx, deployment)
	if err != nil {
		return err
	}
	kubeconfig, err := w.plane.ServiceAccountKubeconfig(ctx, account)
	if err != nil {
		return err
	}
	w.agent, err = agent.Start(agent.Config{Binary: agentBinary, Node: node.Namespace, NodeName: nodeName, Kubeconfig: kubeconfig})
	if err != nil {
		return err
	}
	return w.agent.WaitReady(ctx)
}

// figures are the results of a phase.
type figures struct {
	took           time.Duration
	cpu            time.Duration // the agent's
	sent, received uint64
	changed        uint64
}

func (f figures) cpuPerSecond() float64 { return 1000 * f.cpu.Seconds() / f.took.Seconds() }

// measure runs a phase for the duration.
func (w *world) measure(ctx context.Context, p phase, d time.Duration) (f figures, err error) {
	before, err := w.received(ctx)
	if err != nil {
		return f, err
	}
	cpu, err := w.cpu()
	if err != nil {
		return f, err
	}
	start := time.Now()
	phase, cancel := context.WithDeadline(ctx, start.Add(d))
	defer cancel()
	var both sync.WaitGroup
	var sending, changing error
	both.Go(func() { f.sent, sending = paced(phase, p.packets, w.send) })
	both.Go(func() {
		f.changed, changing = paced(phase, p.changes, func(n int) error { return w.change(ctx, n) })
	})
	both.Wait()
	f.took = time.Since(start)
	after, err := w.cpu()
	if err := errors.Join(err, sending, changing, ctx.Err()); err != nil {
		return f, err
	}
	f.cpu = after - cpu
	now, err := w.received(ctx)
	f.received = now - before
	return f, err
}

// paced calls f every 10 ms, with the number of items that are due at the rate, until ctx
// ends. It returns the number of all items.
func paced(ctx context.Context, rate int, f func(int) error) (done uint64, err error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; {
		select {
		case <-ctx.Done():
			return done, nil
		case <-tick.C:
		}
		if due := uint64(time.Since(start).Seconds() * float64(rate)); due > done {
			if err := f(int(due - done)); err != nil {
				return done, err
			}
			done = due
		}
	}
}

func (w *world) send(n int) error {
	p := netlab.Packet{Source: from, Destination: to, Protocol: netlab.UDP, SourcePort: 40000, DestinationPort: 8080, PayloadLength: 64}
	for n > 0 {
		some := min(n, 500) // more at once may overflow the kernel's backlog
		if err := w.client.Send(p, some); err != nil {
			return err
		}
		n -= some
	}
	return nil
}

// change changes the port of the next n policies.
func (w *world) change(ctx context.Context, n int) error {
	for range n {
		w.next++
		patch := fmt.Sprintf(`[{"op":"replace","path":"/spec/ingress/0/ports/0/port","value":%d}]`, 1024+w.next%30000)
		_, err := w.kube.NetworkingV1().NetworkPolicies(namespace).
			Patch(ctx, policyName(w.next%w.held), types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}

// cpu returns the agent's CPU time so far. The kernel counts it exactly, not in ticks.
func (w *world) cpu() (time.Duration, error) {
	// From include/linux/posix-timers_types.h: the process id, inverted, above
	// three bits that say which clock of it.
	const scheduled = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^w.agent.PID()<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("read the agent's CPU clock: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// received waits until the agent receives no more packets, and returns how many it has
// received so far.
func (w *world) received(ctx context.Context) (uint64, error) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for last := -1.0; ; {
		metrics, err := w.agent.Metrics(ctx)
		if err != nil {
			return 0, err
		}
		now := metrics.Sum("kube_nflog_packets_received_total")
		if now == last {
			return uint64(now), nil
		}
		last = now
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}
