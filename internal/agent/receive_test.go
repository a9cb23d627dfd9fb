//go:build linux

package agent

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// packetReader reads the same packets every time.
type packetReader struct {
	packets []nflog.Packet
	count   nflog.Count
}

func (r packetReader) Read(_ time.Time, handle func(*nflog.Packet)) (nflog.Count, error) {
	for i := range r.packets {
		handle(&r.packets[i])
	}
	return r.count, nil
}

// TestEveryPacketIsInOneCounter folds a packet of each kind. The counters of what became
// of packets must add up to those received.
func TestEveryPacketIsInOneCounter(t *testing.T) {
	m := newMetrics("dev")
	r := newReceiver(100, decode.Config{Prefixes: []string{"deny"}}, flow.Config{MaxFlows: 1}, nil, m, slog.New(slog.DiscardHandler))
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
	for _, read := range []packetReader{
		{packets, nflog.Count{Packets: len(packets), Malformed: 1, Lost: 4, Overruns: 2, Unsized: 1}},
		{nil, nflog.Count{Reopened: true}},
		{packets[:1], nflog.Count{Packets: 1}},
	} {
		count, results, err := r.folder.Fold(read)
		if err != nil {
			t.Fatal(err)
		}
		r.account(count, &results)
	}

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
