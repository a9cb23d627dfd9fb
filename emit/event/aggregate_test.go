package event

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// seenBy returns a flow as an object sees it that has this peer.
func seenBy(d *emit.DroppedFlow, peer *resolve.Endpoint) *observation {
	return &observation{DroppedFlow: d, peer: peer}
}

func TestAggregateTexts(t *testing.T) {
	const icmp = 1 << 20 // in place of a port
	type hit struct {
		source, port int
		packets      uint64
	}
	for _, tt := range []struct {
		name      string
		direction direction
		hits      []hit
		overflow  bool
		want      string
	}{
		{"many sources", receiving, []hit{{1, 22, 1}, {2, 22, 9}, {3, 23, 3}, {4, 24, 2}}, false,
			"Packets dropped when receiving traffic from 4 sources on 3 ports (most: 198.18.0.2 on 22/TCP, 198.18.0.3 on 23/TCP, 198.18.0.4 on 24/TCP, …)."},
		{"one source, many ports", receiving, []hit{{1, 22, 1}, {1, 23, 2}}, false,
			"Packets dropped when receiving traffic from 1 source on 2 ports (most: 198.18.0.1 on 23/TCP, 198.18.0.1 on 22/TCP)."},
		{"destinations", sending, []hit{{1, 22, 1}, {2, 22, 2}}, false,
			"Packets dropped when sending traffic to 2 destinations on 1 port (most: 198.18.0.2 on 22/TCP, 198.18.0.1 on 22/TCP)."},
		{"ICMP too", receiving, []hit{{1, 22, 1}, {2, icmp, 2}}, false,
			"Packets dropped when receiving traffic from 2 sources on 1 port and 1 other kind (most: 198.18.0.2 (ICMP echo-request), 198.18.0.1 on 22/TCP)."},
		{"ICMP alone", receiving, []hit{{1, icmp, 1}}, false,
			"Packets dropped when receiving traffic from 1 source on 1 kind of packet (most: 198.18.0.1 (ICMP echo-request))."},
		{"overflow too", receiving, []hit{{1, 22, 1}, {2, 22, 2}}, true,
			"Packets dropped when receiving traffic from more than 2 sources on 1 port (most: 198.18.0.2 on 22/TCP, 198.18.0.1 on 22/TCP)."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newAggregate()
			d := aggregateRoom{seed: maphash.MakeSeed(), peerRoom: 100, targetRoom: 100}
			for _, h := range tt.hits {
				peer := external(fmt.Sprintf("198.18.0.%d", h.source))
				f := tcp(peer, peer, uint16(h.port), h.packets)
				if h.port == icmp {
					f.Protocol, f.HasPorts, f.HasICMP, f.ICMPType = decode.ICMP, false, true, 8
				}
				r.add(&d, seenBy(f, &f.Source))
			}
			if tt.overflow {
				peer := external("198.18.0.1")
				peer.IP = flow.Flow{}.Source
				r.add(&d, seenBy(&emit.DroppedFlow{Flow: flow.Flow{Overflow: true, Packets: 5}}, &peer))
			}
			if diff := cmp.Diff(tt.want, r.text(tt.direction)); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAggregatesAreBoundedTogether(t *testing.T) {
	d := aggregateRoom{seed: maphash.MakeSeed(), peerRoom: 10, targetRoom: 5}
	var all []*aggregate
	for range 3 {
		r := newAggregate()
		for i := range 8 {
			peer := external(fmt.Sprintf("198.18.0.%d", i))
			f := tcp(peer, peer, uint16(i), 1)
			r.add(&d, seenBy(f, &f.Source))
		}
		all = append(all, r)
	}
	peers, targets := 0, 0
	for _, r := range all {
		peers, targets = peers+len(r.peers), targets+len(r.targets)
	}
	if peers != 10 || targets != 5 {
		t.Errorf("the aggregates hold %d addresses and %d targets, want 10 and 5", peers, targets)
	}
	if !all[2].morePeers || !all[2].moreTargets {
		t.Error("the last aggregate does not know that there were more")
	}
	for _, r := range all {
		r.release(&d)
	}
	if d.peerRoom != 10 || d.targetRoom != 5 {
		t.Errorf("after release there is room for %d and %d, want 10 and 5", d.peerRoom, d.targetRoom)
	}
}

// TestAggregateReasons checks that an aggregate tells why: the one reason, or the
// commonest ones, in bounds.
func TestAggregateReasons(t *testing.T) {
	type hit struct {
		why     string
		packets uint64
	}
	long := strings.Repeat("y", 2*maxReasonBytes)
	for _, tt := range []struct {
		name string
		hits []hit
		want string
	}{
		{"none is known", []hit{{"", 3}}, ""},
		{"one", []hit{{"denied by A", 3}, {"denied by A", 1}}, "denied by A"},
		{"one is known", []hit{{"denied by A", 3}, {"", 1}}, "several reasons: denied by A; …"},
		{"two", []hit{{"denied by A", 3}, {"denied by B", 4}}, "several reasons: denied by B; denied by A"},
		{"many", []hit{{"A", 3}, {"B", 4}, {"C", 20}, {"D", 1}, {"E", 1}, {"F", 30}}, "several reasons: F; C; …"},
		{"long", []hit{{long, 3}}, long[:maxReasonBytes-len("…")] + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r reasons
			for _, h := range tt.hits {
				r.add(h.why, h.packets)
			}
			if diff := cmp.Diff(tt.want, r.text()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
			if len(r.all) > maxReasons {
				t.Errorf("%d reasons are held, want %d at most", len(r.all), maxReasons)
			}
		})
	}
}

// TestAggregateTellsWhy checks that the event says the reasons, and that its count is
// a lower bound, within the bytes that a message may have.
func TestAggregateTellsWhy(t *testing.T) {
	s := newFakeServer()
	e := newTestSink(t, Config{ObjectsPerPod: 1}, s)
	api := pod("shop", "api", "10.0.1.7")
	for i := range 9 {
		peer := pod("shop", fmt.Sprintf("p-%d-%s", i, strings.Repeat("x", 240)), fmt.Sprintf("10.0.0.%d", i+1))
		peer.EventsDisabled = true
		e.Add(because(tcp(peer, api, 80, 1), policy.Reason{
			Text: "denied by " + strings.Repeat(fmt.Sprint(i%2), 250), AtLeast: true, Limit: "10/minute",
		}))
	}
	flush(t, e)
	events := s.list()
	if len(events) != 2 {
		t.Fatalf("%d events, want one and an aggregate", len(events))
	}
	message := events[1].Message
	checkMessage(t, message)
	for _, want := range []string{"Packets dropped when receiving traffic from 8 sources", "several reasons: denied by 00", atLeastText("10/minute")} {
		if !strings.Contains(message, want) {
			t.Errorf("the aggregate does not say %q: %s", want, message)
		}
	}
}
