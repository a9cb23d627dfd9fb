package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

const (
	namespace = "bench"
	window    = time.Second // of the flow stage
)

// oneFlow is a flow of the load, to the pod that gets the events.
type oneFlow struct {
	src, dst resolve.Endpoint
	port     uint16
}

// podFlows returns flows to the given number of pods, evenly distributed. Each flow has
// its own peer and port. The peers have no UID, so that only one end gets an event.
func podFlows(flows, pods int) []oneFlow {
	all := make([]oneFlow, flows)
	for i := range all {
		n := i % pods
		all[i] = oneFlow{
			dst:  podEndpoint(fmt.Sprintf("api-%02d", n), netip.AddrFrom4([4]byte{10, 1, 0, byte(n)})),
			src:  podEndpoint(fmt.Sprintf("peer-%02d", i/pods), netip.AddrFrom4([4]byte{10, 2, byte(i / pods), byte(n)})),
			port: uint16(8000 + i/pods),
		}
		all[i].src.UID = ""
	}
	return all
}

func podEndpoint(name string, addr netip.Addr) resolve.Endpoint {
	return resolve.Endpoint{
		IP: addr, Kind: resolve.Pod, Namespace: namespace, Name: name, UID: "uid-" + name,
		Identifier: namespace + "/" + name, NodeName: "n1",
	}
}

// seen returns the flow as one window hands it over.
func (o *oneFlow) seen(packets uint64) *emit.DroppedFlow {
	now := time.Now()
	f := flow.Flow{
		Group: 100, Hook: decode.HookForward, Family: decode.IPv4, Protocol: decode.TCP,
		Source: o.src.IP, Destination: o.dst.IP, SourcePort: 43210, DestinationPort: o.port, HasPorts: true,
		TCPFlags: decode.SYN, FirstSeen: now, LastSeen: now, Packets: packets, Bytes: 60 * packets,
	}
	return &emit.DroppedFlow{Flow: f, Source: o.src, Destination: o.dst}
}

// message is the sentence that all sinks write for the flow.
func (o *oneFlow) message() string {
	return fmt.Sprintf("Packet dropped when receiving traffic from %s (%s) on port %d/TCP.", o.src.Identifier, o.src.IP, o.port)
}

// id identifies the flow by the text of its event.
func (o *oneFlow) id() string { return o.dst.Name + ": " + o.message() }

// play gives the flows to a sink, window by window, with the given number of packets for
// each flow in all. It returns the number of packets given. It ends early with ctx.
func play(ctx context.Context, s sink, flows []oneFlow, windows int, packets uint64, each func()) uint64 {
	tick := time.NewTicker(window)
	defer tick.Stop()
	var sum uint64
	for w := range uint64(windows) {
		if ctx.Err() != nil {
			break
		}
		share := packets*(w+1)/uint64(windows) - packets*w/uint64(windows)
		for i := range flows {
			if share > 0 {
				s.add(&flows[i], share)
				sum += share
			}
		}
		each()
		<-tick.C
	}
	return sum
}
