package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kube-nflog/kube-nflog/decode"
)

// TestLastPacketAcrossBatches spreads a flow's packets over the end of a batch: what is
// not in the key is that of the last packet.
func TestLastPacketAcrossBatches(t *testing.T) {
	for others := range 2 * batchSize {
		table := NewTable(Config{})
		for i := range others {
			add(table, drop("10.0.0.9", uint16(1000+i), 0))
		}
		for ms := range 3 {
			add(table, drop("10.0.0.5", 80, ms)) // its source port follows the time
		}
		flows := at(table, 0)
		flows = append(flows, at(table, 1000)...)
		for _, f := range flows {
			if f.DestinationPort == 80 && (f.SourcePort != 40002 || f.Packets != 3) {
				t.Errorf("behind %d other flows: source port %d, %d packets", others, f.SourcePort, f.Packets)
			}
		}
		if len(flows) != others+1 {
			t.Errorf("%d flows, want %d", len(flows), others+1)
		}
	}
}

// TestFlowsOfEveryKind adds flows in turn that agree in all but one part of the key: each
// comes out as if it were alone, and With chooses by prefix.
func TestFlowsOfEveryKind(t *testing.T) {
	six := drop("2001:db8::5", 80, 1)
	six.Family = decode.IPv6
	mapped := drop("10.0.0.5", 80, 1)
	mapped.Family = decode.IPv6
	ping := drop("10.0.0.5", 0, 1)
	ping.HasPorts, ping.SourcePort, ping.TCPFlags, ping.HasICMP, ping.Protocol, ping.ICMPType = false, 0, 0, true, decode.ICMP, 8
	named := drop("10.0.0.5", 80, 1)
	named.Prefix = "deny: "
	over := drop("10.0.0.6", 81, 1)
	drops := []decode.Drop{drop("10.0.0.5", 80, 1), six, mapped, ping, named, drop("10.0.0.7", 80, 1), over}
	table := NewTable(Config{MaxFlows: len(drops) - 1})
	add(table, drops...)
	table.Export(start)
	table.Export(start.Add(time.Second))
	w := <-table.Windows()
	var got []Flow
	for f := range w.Flows() {
		got = append(got, *f)
	}
	if len(got) != len(drops) || !got[len(got)-1].Overflow {
		t.Fatalf("%d rows: %+v", len(got), got)
	}
	for i := range drops[:len(drops)-1] {
		alone := NewTable(Config{})
		add(alone, drops[i])
		alone.Export(start)
		want := at(alone, 1000)
		if diff := cmp.Diff(want, got[i:i+1], cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("row %d: -alone +among others:\n%s", i, diff)
		}
	}
	var with []string
	for f := range w.With(func(prefix string) bool { return prefix == "deny: " }) {
		with = append(with, f.Prefix)
	}
	for range w.With(func(prefix string) bool { return prefix == "no such" }) {
		t.Error("a flow of a prefix that nobody has")
	}
	if len(with) != 1 || with[0] != "deny: " {
		t.Errorf("with the prefix: %q", with)
	}
}

// TestSums adds up windows of flows that alternate between rules and protocols, some of
// them exported early, and compares the sums with the flows.
func TestSums(t *testing.T) {
	type rule struct {
		prefix   string
		protocol decode.Protocol
	}
	table, random := NewTable(Config{MaxFlows: 50}), rand.New(rand.NewPCG(9, 9))
	rows, flows := 0, 0
	for ms := range 5000 {
		d := drop("10.0.0.5", uint16(random.IntN(70)), ms)
		d.Prefix, d.Protocol = []string{"", "deny: "}[random.IntN(2)], []decode.Protocol{0, decode.TCP, decode.UDP}[random.IntN(3)]
		table.Add(&d)
		table.Export(start.Add(time.Duration(ms) * time.Millisecond))
		select {
		case w := <-table.Windows():
			want, got := map[rule]uint64{}, map[rule]uint64{}
			for f := range w.Flows() {
				want[rule{f.Prefix, f.Protocol}] += f.Packets
				flows++
			}
			for sum := range w.Sums() {
				got[rule{sum.Prefix, sum.Protocol}] += sum.Packets
				rows++
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(rule{})); diff != "" {
				t.Fatalf("-flows +sums:\n%s", diff)
			}
			w.Release()
		default:
		}
	}
	if rows == 0 || rows >= flows {
		t.Errorf("%d sums of %d flows", rows, flows)
	}
}

// TestShortcutsChangeNothing adds the same bursts of a few flows to a table as it is, and
// to one that looks up each drop. Datagrams end between any two packets, and some flows
// find the window full.
func TestShortcutsChangeNothing(t *testing.T) {
	run := func(shortcuts bool) (flows []Flow, overflowed uint64) {
		table, random := NewTable(Config{MaxFlows: 4}), rand.New(rand.NewPCG(1, 2))
		var last uint16
		for ms := range 20_000 {
			port := last
			if random.IntN(3) == 0 {
				port = uint16(80 + random.IntN(3) + 5*(ms/5000)*random.IntN(2))
			}
			d := drop("10.0.0.5", port, ms)
			d.Length, d.SourcePort, d.TCPFlags = uint32(100+ms%7), uint16(ms), decode.TCPFlags(ms)
			if !shortcuts {
				table.last = nil
			}
			table.Add(&d)
			last = port
			switch random.IntN(20) {
			case 0, 1, 2:
				table.Overflowed() // as at the end of a datagram
			case 3:
				flows = append(flows, at(table, ms)...)
			}
		}
		return append(flows, at(table, 30_000)...), table.Overflowed()
	}
	want, wantOverflowed := run(false)
	got, overflowed := run(true)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-looked up +with shortcuts:\n%s", diff)
	}
	if overflowed != wantOverflowed || overflowed == 0 {
		t.Errorf("%d drops overflowed, want %d and some", overflowed, wantOverflowed)
	}
	var packets uint64
	for _, f := range got {
		packets += f.Packets
	}
	if packets != 20_000 {
		t.Errorf("%d packets came out, want 20,000", packets)
	}
}
