package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

const (
	packetNode  = "n1"
	packetGroup = 100
	packetPods  = 30
	packetFlows = 10 // to each pod
	packetGap   = 200 * time.Millisecond
	loneFlows   = 10 // after silence, when the emitter first sends a probe
	loneGap     = 11 * time.Second
	packetWait  = 30 * time.Second
)

// firstPacket measures the whole way: a rule on the node drops a packet, the kernel logs
// it to the NFLOG group, the agent's process writes an event, and a watcher of the API
// server sees it.
func firstPacket(ctx context.Context, o options) error {
	bin := filepath.Join(o.binaries, "..", "kube-nflog-test")
	prepare := func() error {
		if err := agent.Build(ctx, filepath.Join(o.module, ".."), bin); err != nil {
			return err
		}
		_, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: o.module, Dir: o.binaries})
		return err
	}
	code, err := netlab.Run(prepare, func() int {
		if err := sendFirstPackets(ctx, o, bin); err != nil {
			fmt.Fprintln(os.Stderr, "bench emit: first packets:", err)
			return 1
		}
		return 0
	})
	if err == nil && code != 0 {
		err = errors.New("it failed")
	}
	return err
}

// packetScene is a node with pods and an outside host.
type packetScene struct {
	node    *netlab.Node
	outside *netlab.Namespace
}

func outsideAddress() netip.Addr { return netip.MustParseAddr("203.0.113.10") }

func packetPod(n int) (name string, addr netip.Addr) {
	return fmt.Sprintf("api-%02d", n), netip.AddrFrom4([4]byte{10, 244, 1, byte(5 + n)})
}

func newPacketScene() (*packetScene, error) {
	lab, err := netlab.NewLab()
	if err != nil {
		return nil, err
	}
	s := &packetScene{}
	if s.node, err = lab.NewNode(packetNode, netip.MustParseAddr("10.0.0.11")); err != nil {
		return nil, err
	}
	if s.outside, err = s.node.Attach("outside", outsideAddress()); err != nil {
		return nil, err
	}
	for n := range packetPods {
		name, addr := packetPod(n)
		if _, err := s.node.Attach(name, addr); err != nil {
			return nil, err
		}
	}
	return s, s.node.Do(dropAll)
}

// dropAll logs and drops what the node forwards:
// nft add rule inet bench forward log group 100; … drop.
func dropAll() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Name: "bench", Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
		&expr.Log{Key: 1 << unix.NFTA_LOG_GROUP, Group: packetGroup},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	return conn.Flush()
}

// startPacketCluster starts the control plane in the lab, with the scene's objects. The
// caller must stop a cluster that is not nil, even if there is an error.
func startPacketCluster(ctx context.Context, o options) (*cluster, error) {
	bin, err := controlplane.Locate(o.binaries)
	if err != nil {
		return nil, err
	}
	c, err := startClusterAt(ctx, o, controlplane.Config{Binaries: bin, Dir: netlab.Scratch, Address: netlab.ControlAddress()})
	if err != nil {
		return nil, err
	}
	if err := c.CreateNode(ctx, packetNode, netip.MustParseAddr("10.0.0.11")); err != nil {
		return c, err
	}
	for n := range packetPods {
		name, addr := packetPod(n)
		pod := controlplane.Pod{Namespace: namespace, Name: name, Node: packetNode, Addresses: []netip.Addr{addr}}
		if _, err := c.CreatePod(ctx, pod); err != nil {
			return c, err
		}
	}
	return c, nil
}

func sendFirstPackets(ctx context.Context, o options, bin string) (err error) {
	s, err := newPacketScene()
	if err != nil {
		return err
	}
	c, err := startPacketCluster(ctx, o)
	if c != nil {
		defer func() { err = errors.Join(err, c.Stop()) }()
	}
	if err != nil {
		return err
	}
	a, err := agent.Start(agent.Config{
		Binary: bin, Node: s.node.Namespace, NodeName: packetNode, Kubeconfig: c.agent, Groups: []uint16{packetGroup},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Kill()) }()
	if err := a.WaitReady(ctx); err != nil {
		return fmt.Errorf("%w; its log:\n%s", err, a.Log())
	}
	seen, err := watchArrivals(ctx, c)
	if err != nil {
		return err
	}
	defer seen.stop()
	flows, err := s.send(ctx, 0, packetPods*packetFlows, func() time.Duration { return time.Duration(rand.Float64() * 2 * float64(packetGap)) })
	if err != nil {
		return err
	}
	lone, err := s.send(ctx, packetPods*packetFlows, loneFlows, func() time.Duration { return loneGap })
	if err != nil {
		return err
	}
	if err := seen.await(ctx, len(flows)+len(lone), packetWait); err != nil {
		return err
	}
	table(fmt.Sprintf("first packet: from the sending of a new flow's first packet, through NFLOG and the agent, until a watcher sees its event; %d pods", packetPods),
		[]string{"", "visible", "p50 / p99 / slowest"},
		[]string{fmt.Sprintf("a new flow every %v, at random", packetGap), seen.reached(flows), quantiles(seen.after(flows))},
		[]string{fmt.Sprintf("a new flow after %v of silence", loneGap), seen.reached(lone), quantiles(seen.after(lone))})
	return nil
}

// sent is the first packet of a flow: to a pod and a port that had none before.
type sent struct {
	pod, on string
	at      time.Time
}

// send sends the first packet of each flow, with a pause before it. from is the number of
// the first flow.
func (s *packetScene) send(ctx context.Context, from, flows int, pause func() time.Duration) ([]sent, error) {
	var all []sent
	for n := from; n < from+flows; n++ {
		if err := sleep(ctx, pause()); err != nil {
			return nil, err
		}
		pod, addr := packetPod(n % packetPods)
		port := uint16(8000 + n/packetPods)
		p := netlab.Packet{Source: outsideAddress(), Destination: addr, Protocol: netlab.TCP, DestinationPort: port}
		all = append(all, sent{pod: pod, on: fmt.Sprintf(" on port %d/TCP", port), at: time.Now()})
		if err := s.outside.Send(p, 1); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// await waits until the wanted number of events is visible.
func (a *arrivals) await(ctx context.Context, want int, limit time.Duration) error {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		if len(a.since(time.Time{}, anyID)) >= want {
			return nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil // the table shows how many are missing
}

// after returns the time between each flow's packet and its event, sorted.
func (a *arrivals) after(flows []sent) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []time.Duration
	for id, at := range a.seen {
		for _, f := range flows {
			if strings.HasPrefix(id, f.pod+": ") && strings.Contains(id, f.on) {
				all = append(all, at.Sub(f.at))
			}
		}
	}
	slices.Sort(all)
	return all
}

func (a *arrivals) reached(flows []sent) string {
	return fmt.Sprintf("%d of %d", len(a.after(flows)), len(flows))
}
