//go:build linux

package agent

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// TestEveryPacketIsInOneCounter gives a receiver without a socket a packet of
// each kind; see metrics for the sum.
func TestEveryPacketIsInOneCounter(t *testing.T) {
	m := newMetrics("dev")
	r := &receiver{
		group: 100, decoder: decode.NewDecoder([]string{"deny"}), table: flow.NewTable(flow.Config{MaxFlows: 1}),
		counts: m.group(100), log: slog.New(slog.DiscardHandler),
	}
	good := []byte{
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 5, 10, 0, 1, 7, // IPv4
		0xa8, 0xca, 0, 53, 0, 8, 0, 0, // UDP
	}
	another := append([]byte(nil), good...)
	another[23]++ // another flow's port, for which the table has no room
	deny := []byte("deny: ")
	packets := []nflog.Packet{
		{Payload: good, Prefix: deny, EtherType: unix.ETH_P_IP},
		{Payload: good, Prefix: deny, EtherType: unix.ETH_P_IP, Time: 1},
		{Payload: another, Prefix: deny, EtherType: unix.ETH_P_IP},
		{Payload: good, Prefix: []byte("trace: "), EtherType: unix.ETH_P_IP},
		{Payload: make([]byte, 28), Prefix: deny, EtherType: unix.ETH_P_ARP},
		{Payload: good[:19], Prefix: deny, EtherType: unix.ETH_P_IP},
		{Payload: append([]byte{0x44}, good[1:]...), Prefix: deny, EtherType: unix.ETH_P_IP},
	}
	for i := range packets {
		r.receive(&packets[i])
	}
	r.account(nflog.Count{Packets: len(packets), Malformed: 1, Lost: 4, Overruns: 2, Unsized: 1})
	r.account(nflog.Count{Reopened: true})
	r.receive(&packets[0])
	r.account(nflog.Count{Packets: 1})

	want := map[string]float64{
		"packets_received_total": 9, "packets_folded_total": 4, "packets_ignored_total": 1,
		"packets_undecodable_total/not_ip": 1, "packets_undecodable_total/truncated": 1,
		"packets_undecodable_total/malformed": 1, "packets_undecodable_total/message": 1,
		"packets_overflowed_total": 1, "packets_lost_total": 4, "socket_overruns_total": 2,
		"socket_overruns_unsized_total": 1, "socket_reopened_total": 1,
	}
	got := counted(t, m)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	sum := got["packets_folded_total"] + got["packets_ignored_total"]
	for _, reason := range []string{"not_ip", "truncated", "malformed", "message"} {
		sum += got["packets_undecodable_total/"+reason]
	}
	if sum != got["packets_received_total"] {
		t.Errorf("%v packets received, %v in the other counters", got["packets_received_total"], sum)
	}
}

// counted is group 100's counters by name, without what all names begin with,
// and reason.
func counted(t *testing.T, m *metrics) map[string]float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name, of100 := strings.TrimPrefix(family.GetName(), "kube_nflog_"), false
			for _, l := range metric.GetLabel() {
				if l.GetName() == "reason" {
					name += "/" + l.GetValue()
				}
				of100 = of100 || l.GetName() == "group" && l.GetValue() == "100"
			}
			if of100 {
				all[name] = metric.GetCounter().GetValue()
			}
		}
	}
	return all
}

// TestRepeats gives the same packets to a receiver that is told which of them
// repeat the head of the one before, and to one that is not.
func TestRepeats(t *testing.T) {
	packet := func(prefix string, in uint32, port byte, repeats bool) nflog.Packet {
		return nflog.Packet{
			Payload: []byte{
				0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 5, 10, 0, 1, 7, // IPv4
				0xa8, 0xca, 0, port, 0, 8, 0, 0, // UDP
			},
			Prefix: []byte(prefix), In: in, Time: 1, Hook: 2, EtherType: unix.ETH_P_IP, Repeats: repeats,
		}
	}
	packets := []nflog.Packet{
		packet("deny: ", 3, 53, false), packet("deny: ", 3, 53, true), packet("deny: ", 3, 54, true),
		packet("deny: ", 3, 53, true), packet("deny: ", 3, 53, true), packet("deny: ", 3, 53, true),
		packet("trace: ", 3, 53, false), packet("trace: ", 3, 53, true),
		packet("deny: ", 4, 53, false), packet("deny: ", 4, 53, true),
	}
	fold := func(told bool, datagram int) (flows []flow.Flow) {
		r := &receiver{
			group: 100, decoder: decode.NewDecoder([]string{"deny"}), table: flow.NewTable(flow.Config{}),
			counts: newMetrics("dev").group(100), log: slog.New(slog.DiscardHandler),
		}
		for i, p := range packets {
			p.Repeats = p.Repeats && told
			r.receive(&p)
			if i%datagram == 0 {
				r.account(nflog.Count{Packets: datagram})
			}
		}
		if err := r.table.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for w := range r.table.Windows() {
			for f := range w.Flows() {
				flows = append(flows, *f)
			}
			w.Release()
		}
		return flows
	}
	want := fold(false, 100)
	if len(want) != 2 {
		t.Fatalf("%d flows, want those to two ports: %+v", len(want), want)
	}
	for datagram := range 8 {
		if diff := cmp.Diff(want, fold(true, datagram+1), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("datagrams of %d: -untold +told:\n%s", datagram+1, diff)
		}
	}
}
