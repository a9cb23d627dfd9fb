package flow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
)

// The addresses of two local pods.
const (
	busyPod  = "10.0.0.5"
	quietPod = "10.0.0.6"
)

func isLocal(a netip.Addr) bool {
	return a == netip.MustParseAddr(busyPod) || a == netip.MustParseAddr(quietPod)
}

// scan is a drop of the busy pod to the nth of many addresses and ports.
func scan(n, ms int) decode.Drop {
	d := drop(busyPod, uint16(n), ms)
	d.Destination = netip.AddrFrom4([4]byte{198, 51, byte(n >> 16), 1}).As16()
	return d
}

// TestQuietPodBesideAScan scans with 70 new flows a millisecond, which is more than are
// exported early. The quiet pod opens a flow every 100 ms as sender and as receiver: each
// is among the first that are exported after it.
func TestQuietPodBesideAScan(t *testing.T) {
	table := NewTable(Config{Local: isLocal})
	seen := map[uint16]int{} // port of a quiet flow → when it came
	for ms := range 950 {
		for i := range 70 {
			add(table, scan(70*ms+i, ms))
		}
		if ms%100 == 0 {
			sent, got := drop(quietPod, uint16(1000+ms), ms), drop("203.0.113.9", uint16(2000+ms), ms)
			got.Destination = netip.MustParseAddr(quietPod).As16()
			add(table, sent, got)
		}
		for _, f := range at(table, ms) {
			if isQuiet(&f) && seen[f.DestinationPort] == 0 {
				seen[f.DestinationPort] = ms
			}
		}
	}
	for ms := 0; ms < 900; ms += 100 {
		for _, port := range []int{1000 + ms, 2000 + ms} {
			if came := seen[uint16(port)]; came == 0 || came-ms > 60 {
				t.Errorf("the flow to port %d began at %d ms and was exported at %d ms, want 60 ms later at most", port, ms, came)
			}
		}
	}
}

func isQuiet(f *Flow) bool {
	return f.Source == netip.MustParseAddr(quietPod) || f.Destination == netip.MustParseAddr(quietPod)
}

// TestEarlyFlowsOfABusyConsumer has the consumer hold a window for longer than a window
// lasts: new flows are exported meanwhile.
func TestEarlyFlowsOfABusyConsumer(t *testing.T) {
	table := NewTable(Config{Local: isLocal})
	add(table, drop(busyPod, 1, 0))
	table.Export(start)
	table.Export(start.Add(time.Second))
	held := <-table.Windows()
	add(table, drop(busyPod, 2, 1000))
	at(table, 1000)
	for ms := 1050; ms <= 3000; ms += 50 {
		at(table, ms)
	}
	add(table, drop(quietPod, 3, 3001))
	at(table, 3001)
	check(t, "a new flow of a window that is overdue", at(table, 3060), func() Flow {
		f := wantFlow(3, 1, 3001, 3001)
		f.Source = netip.MustParseAddr(quietPod)
		return f
	}())
	held.Release()
}

// TestShareOfAFullTable fills the window by a scan: the quiet pod's flows still have
// their own rows, up to its share, and all packets add up.
func TestShareOfAFullTable(t *testing.T) {
	const scanned, share, quiet = 70_000, 64, 100
	table := NewTable(Config{Local: isLocal})
	for i := range scanned {
		add(table, scan(i, 0))
	}
	for i := range quiet {
		add(table, drop(quietPod, uint16(i), 1), drop(quietPod, uint16(i), 2))
	}
	table.Export(start)
	packets, own, scans := ofQuietPod(t, at(table, 1000))
	if own != share || scans != 1<<16+share || packets != scanned+2*quiet {
		t.Errorf("%d flows of the quiet pod, %d of the other, %d packets; want %d, %d, %d",
			own, scans, packets, share, 1<<16+share, scanned+2*quiet)
	}
	if got, want := table.Overflowed(), uint64(scanned-1<<16-share+2*(quiet-share)); got != want {
		t.Errorf("%d packets overflowed, want %d", got, want)
	}
}

// ofQuietPod counts all packets, and the flows of the quiet pod and of others, except
// overflow flows.
func ofQuietPod(t *testing.T, flows []Flow) (packets, own, others uint64) {
	t.Helper()
	for i := range flows {
		f := &flows[i]
		packets += f.Packets
		switch {
		case f.Overflow:
		case isQuiet(f):
			own++
			if f.Packets != 2 || !f.HasPorts || !f.Destination.IsValid() {
				t.Errorf("a flow of the quiet pod: %+v", f)
			}
		default:
			others++
		}
	}
	return packets, own, others
}

// TestReserveOfEachWindow fills two windows by a scan: the quiet pod also has its share in
// the second one.
func TestReserveOfEachWindow(t *testing.T) {
	table := NewTable(Config{MaxFlows: 1024, Local: isLocal})
	for window := range 2 {
		ms := 1000 * window
		for i := range 2000 {
			add(table, scan(i, ms))
		}
		add(table, drop(quietPod, 1, ms))
		at(table, ms)
		for _, f := range at(table, ms+1000) {
			if isQuiet(&f) && f.Overflow {
				t.Errorf("in window %d the quiet pod's flow is %+v", window, f)
			}
		}
	}
}

// TestReserveIsBounded has more local pods than the reserve has shares: the packets still
// add up.
func TestReserveIsBounded(t *testing.T) {
	table := NewTable(Config{MaxFlows: 1024, Local: func(netip.Addr) bool { return true }})
	const pods = 3000
	for i := range pods {
		d := drop(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}).String(), 80, 0)
		add(table, d)
	}
	table.Export(start)
	var rows, packets uint64
	for _, f := range at(table, 1000) {
		packets += f.Packets
		if !f.Overflow {
			rows++
		}
	}
	if packets != pods || rows > 1024+1024/reservePart || table.Overflowed() != pods-rows {
		t.Errorf("%d packets in %d flows, %d overflowed, of %d", packets, rows, table.Overflowed(), pods)
	}
}

// TestNewFlowsOfPodsDoNotAllocate folds new flows in tables that have grown.
func TestNewFlowsOfPodsDoNotAllocate(t *testing.T) {
	table := NewTable(Config{Local: isLocal})
	d := scan(0, 0)
	const flows = 5000
	n, now := 0, start
	cycle := func() {
		for range flows {
			d.DestinationPort = uint16(n)
			d.Destination[14] = byte(n >> 16)
			n++
			table.Add(&d)
		}
		table.Export(now)
		now = now.Add(time.Second)
		table.Export(now)
		w := <-table.Windows()
		w.Release()
	}
	for range 60 { // the tables grow
		cycle()
	}
	if n := testing.AllocsPerRun(30, cycle) / flows; n > 0.01 {
		t.Errorf("%v allocations a drop", n)
	}
}
