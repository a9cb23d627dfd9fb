//go:build linux

package agent

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
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

// counted returns the counters of group 100 by name and reason. The names are without
// the prefix of all names.
func counted(t *testing.T, m *metrics) map[string]float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			name, of100 := strings.TrimPrefix(family.GetName(), "kube_nflog_"), false
			for _, l := range series.GetLabel() {
				if l.GetName() == "reason" {
					name += "/" + l.GetValue()
				}
				of100 = of100 || l.GetName() == "group" && l.GetValue() == "100"
			}
			if of100 {
				all[name] = series.GetCounter().GetValue()
			}
		}
	}
	return all
}

// TestCountAddsUp delivers flows of two prefixes in turns, without a cluster. The metric
// must have every packet.
func TestCountAddsUp(t *testing.T) {
	registry := prometheus.NewRegistry()
	counted, err := metric.New(metric.Config{NodeName: "n1", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics("dev")
	d := &deliverer{metrics: counted, countOnly: true, counts: m.merged(100), waiting: &waitingFlows{metrics: m.waiting}}
	table := flow.NewTable(flow.Config{})
	prefixes := []string{"deny", "deny", "", "deny"}
	for i, prefix := range prefixes {
		table.Add(&decode.Drop{
			Time: 1, Prefix: prefix, Family: decode.IPv4, Protocol: decode.TCP, HasPorts: true, DestinationPort: uint16(i),
		})
	}
	if err := table.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.run(table.Windows())
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "kube_nflog_drops_total" {
			continue
		}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() == "prefix" {
					got[label.GetValue()] = series.GetCounter().GetValue()
				}
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"": 1, "deny": 3}, got); diff != "" {
		t.Errorf("packets by prefix: -want +got:\n%s", diff)
	}
}

// TestEarlyFlowsComeBetween delivers a window of three flows. After the first, a new flow
// comes. It must be delivered before the rest.
func TestEarlyFlowsComeBetween(t *testing.T) {
	resolver, err := resolve.New(resolve.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := dialect.NewParser(dialect.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	explainer, err := explain.New(explain.Config{Rules: rules}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	m := newMetrics("dev")
	d := &deliverer{
		merger: dialect.NewMerger(rules), counts: m.merged(100), resolver: resolver, explainer: explainer,
		waiting: &waitingFlows{metrics: m.waiting},
		lines:   jsonline.New(&out, jsonline.Config{NodeName: "n1", Unwritten: m.unwritten}),
	}
	windows := make(chan flow.Window, 2)
	for _, ports := range [][]uint16{{1, 2, 3}, {9}} {
		table := flow.NewTable(flow.Config{})
		for _, port := range ports {
			table.Add(&decode.Drop{
				Time: 1, Family: decode.IPv4, Protocol: decode.TCP, HasPorts: true, DestinationPort: port,
				Source: netip.MustParseAddr("203.0.113.9").As16(), Destination: netip.MustParseAddr("203.0.113.10").As16(),
			})
		}
		if err := table.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		windows <- <-table.Windows()
	}
	close(windows)
	d.run(windows)
	var ports []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var l struct {
			Destination struct{ Port int }
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		ports = append(ports, strconv.Itoa(l.Destination.Port))
	}
	if got := strings.Join(ports, " "); got != "1 9 2 3" {
		t.Errorf("delivered in the order of ports %s, want 1 9 2 3:\n%s", got, out.String())
	}
}
