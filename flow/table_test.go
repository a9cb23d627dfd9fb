package flow

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kube-nflog/kube-nflog/decode"
)

var start = time.Unix(1_800_000_000, 0)

// drop is a TCP SYN to a port, seen some milliseconds after start.
func drop(source string, port uint16, ms int) decode.Drop {
	return decode.Drop{
		Time: start.Add(time.Duration(ms) * time.Millisecond).UnixNano(), Group: 100, Hook: decode.HookForward,
		Family: decode.IPv4, Protocol: decode.TCP, Length: 60, TCPFlags: decode.SYN,
		Source: netip.MustParseAddr(source).As16(), Destination: netip.MustParseAddr("10.0.1.7").As16(),
		HasPorts: true, SourcePort: uint16(40000 + ms), DestinationPort: port, In: 3, Out: 4,
	}
}

// at exports what is due some milliseconds after start, and returns the flows that came
// out, or nil.
func at(table *Table, ms int) []Flow {
	table.Export(start.Add(time.Duration(ms) * time.Millisecond))
	return received(table)
}

func received(table *Table) []Flow {
	var flows []Flow
	for {
		select {
		case w, ok := <-table.Windows():
			if !ok {
				return flows
			}
			for f := range w.Flows() {
				flows = append(flows, *f)
			}
			w.Release()
		default:
			return flows
		}
	}
}

func add(table *Table, drops ...decode.Drop) {
	for i := range drops {
		table.Add(&drops[i])
	}
}

func wantFlow(port uint16, packets uint64, first, last int) Flow {
	return Flow{
		Group: 100, Hook: decode.HookForward, Family: decode.IPv4, Protocol: decode.TCP,
		Source: netip.MustParseAddr("10.0.0.5"), Destination: netip.MustParseAddr("10.0.1.7"),
		HasPorts: true, SourcePort: uint16(40000 + last), DestinationPort: port, TCPFlags: decode.SYN, In: 3, Out: 4,
		FirstSeen: start.Add(time.Duration(first) * time.Millisecond),
		LastSeen:  start.Add(time.Duration(last) * time.Millisecond), Packets: packets, Bytes: 60 * packets,
	}
}

func check(t *testing.T, what string, got []Flow, want ...Flow) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: -want +got:\n%s", what, diff)
	}
}

func TestWindowFoldsAndANewFlowComesEarly(t *testing.T) {
	table := NewTable(Config{})
	if !table.Deadline().IsZero() {
		t.Errorf("an empty table has the deadline %v", table.Deadline())
	}
	add(table, drop("10.0.0.5", 80, 0), drop("10.0.0.5", 443, 1), drop("10.0.0.5", 80, 2))
	check(t, "at first", at(table, 3))
	if want := start.Add(53 * time.Millisecond); !table.Deadline().Equal(want) {
		t.Errorf("early deadline %v, want %v", table.Deadline(), want)
	}
	check(t, "early", at(table, 53), wantFlow(80, 2, 0, 2), wantFlow(443, 1, 1, 1))

	add(table, drop("10.0.0.5", 80, 500), drop("10.0.0.5", 80, 600))
	check(t, "inside the window", at(table, 600))
	if want := start.Add(1003 * time.Millisecond); !table.Deadline().Equal(want) {
		t.Errorf("window deadline %v, want %v", table.Deadline(), want)
	}
	check(t, "window", at(table, 1003), wantFlow(80, 2, 500, 600))

	add(table, drop("10.0.0.5", 80, 1500), drop("10.0.0.5", 22, 1500))
	check(t, "second window at first", at(table, 1500))
	check(t, "only what is new comes early", at(table, 1550), wantFlow(22, 1, 1500, 1500))
	check(t, "second window", at(table, 2500), wantFlow(80, 1, 1500, 1500))
}

func TestAFlowIsNewAgainAfterAWhile(t *testing.T) {
	table := NewTable(Config{})
	add(table, drop("10.0.0.5", 80, 0))
	at(table, 0)
	check(t, "early", at(table, 50), wantFlow(80, 1, 0, 0))
	check(t, "window", at(table, 1000))
	add(table, drop("10.0.0.5", 80, 20_000))
	at(table, 20_000)
	check(t, "early again", at(table, 20_050), wantFlow(80, 1, 20_000, 20_000))
}

func TestKeyFields(t *testing.T) {
	base := drop("10.0.0.5", 80, 0)
	variants := map[string]func(*decode.Drop){
		"group":            func(d *decode.Drop) { d.Group = 7 },
		"prefix":           func(d *decode.Drop) { d.Prefix = "deny: " },
		"protocol":         func(d *decode.Drop) { d.Protocol = decode.UDP },
		"source":           func(d *decode.Drop) { d.Source[15]++ },
		"destination":      func(d *decode.Drop) { d.Destination[15]++ },
		"destination port": func(d *decode.Drop) { d.DestinationPort++ },
		"no port":          func(d *decode.Drop) { d.HasPorts, d.DestinationPort = false, 0 },
		"fragment":         func(d *decode.Drop) { d.HasPorts, d.DestinationPort, d.Fragment = false, 0, true },
		"family":           func(d *decode.Drop) { d.Family = decode.IPv6 },
		"hook":             func(d *decode.Drop) { d.Hook = decode.HookInput },
		"ICMP": func(d *decode.Drop) {
			d.HasPorts, d.HasICMP, d.Protocol, d.ICMPType = false, true, decode.ICMP, 8
		},
		"ICMP code": func(d *decode.Drop) {
			d.HasPorts, d.HasICMP, d.Protocol, d.ICMPType, d.ICMPCode = false, true, decode.ICMP, 8, 1
		},
	}
	table := NewTable(Config{})
	for name, vary := range variants {
		d := base
		vary(&d)
		before := table.current.n
		add(table, d, d)
		table.fold()
		if got := table.current.n - before; got != 1 {
			t.Errorf("another %s: %d new flows, want 1", name, got)
		}
	}
	same := base
	same.SourcePort, same.In, same.Out, same.TCPFlags, same.Length, same.Time = 1, 2, 3, 4, 5, 6
	add(table, base, same)
	table.fold()
	if got, want := table.current.n, len(variants)+1; got != want {
		t.Errorf("%d flows, want %d: the rest is not in the key", got, want)
	}
}

func TestICMPFlow(t *testing.T) {
	d := drop("10.0.0.5", 0, 0)
	d.HasPorts, d.SourcePort, d.TCPFlags, d.HasICMP, d.Protocol, d.ICMPType, d.ICMPCode = false, 0, 0, true, decode.ICMP, 3, 13
	table := NewTable(Config{})
	add(table, d)
	at(table, 0)
	want := wantFlow(0, 1, 0, 0)
	want.HasPorts, want.SourcePort, want.TCPFlags, want.HasICMP, want.Protocol, want.ICMPType, want.ICMPCode = false, 0, 0, true, decode.ICMP, 3, 13
	check(t, "flow", at(table, 50), want)
}

// TestBusyConsumer does not release a window: folding goes on, and nothing is lost.
func TestBusyConsumer(t *testing.T) {
	table := NewTable(Config{})
	add(table, drop("10.0.0.5", 80, 0))
	table.Export(start)
	table.Export(start.Add(time.Second))
	held := <-table.Windows()
	for ms := 1000; ms < 10_000; ms += 10 {
		add(table, drop("10.0.0.5", 80, ms))
		table.Export(start.Add(time.Duration(ms) * time.Millisecond))
	}
	check(t, "while a window is held", received(table))
	held.Release()
	table.Export(start.Add(11 * time.Second))
	check(t, "after its release", received(table), wantFlow(80, 900, 1000, 9990))
}

func TestClose(t *testing.T) {
	table := NewTable(Config{})
	add(table, drop("10.0.0.5", 80, 0))
	if err := table.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, "the last window", received(table), wantFlow(80, 1, 0, 0))
}

// TestCloseTooLate: a window that need not wait for its consumer is always exported, even
// if the time to wait is over.
func TestCloseTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		table := NewTable(Config{})
		add(table, drop("10.0.0.5", 80, 0))
		if err := table.Close(ctx); err != nil {
			t.Fatal(err)
		}
		check(t, "the last window", received(table), wantFlow(80, 1, 0, 0))
	}
}

func TestCloseSaysWhatIsLeft(t *testing.T) {
	table := NewTable(Config{})
	add(table, drop("10.0.0.5", 80, 0))
	table.Export(start)
	table.Export(start.Add(time.Second)) // never released
	add(table, drop("10.0.0.5", 80, 2000), drop("10.0.0.5", 81, 2000))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := table.Close(ctx)
	if want := "export the last window: 2 packets are left: context canceled"; err == nil || err.Error() != want || !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v, want %s", err, want)
	}
}

// TestOverflowAddsUp scans one local address from far more sources than there is room
// for.
func TestOverflowAddsUp(t *testing.T) {
	local := netip.MustParseAddr("10.0.1.7")
	table := NewTable(Config{MaxFlows: 100, Local: func(a netip.Addr) bool { return a == local }})
	const scanned = 5000
	for i := range scanned {
		d := drop("10.0.0.5", uint16(i%7), 0)
		d.Source[13], d.Source[14] = byte(i>>8), byte(i)
		table.Add(&d)
	}
	table.Export(start)
	var packets, bytes, overflowed uint64
	var rows int
	for _, f := range at(table, 1000) {
		packets, bytes = packets+f.Packets, bytes+f.Bytes
		if f.Overflow {
			rows, overflowed = rows+1, overflowed+f.Packets
			if f.Destination != local || f.Source.IsValid() || f.HasPorts {
				t.Errorf("the overflow flow is not the local side's: %+v", f)
			}
		}
	}
	if packets != scanned || bytes != 60*scanned || rows != 1 || overflowed != scanned-100 || table.Overflowed() != overflowed {
		t.Errorf("%d packets, %d bytes, %d overflow rows of %d packets, Overflowed %d", packets, bytes, rows, overflowed, table.Overflowed())
	}
}

// TestOverflowOfOverflow uses up the room for overflow flows too.
func TestOverflowOfOverflow(t *testing.T) {
	table := NewTable(Config{MaxFlows: 10, Local: func(netip.Addr) bool { return true }})
	random := rand.New(rand.NewPCG(1, 2))
	const offered = 50_000
	for range offered {
		d := drop("10.0.0.5", uint16(random.Uint32()), 0)
		d.Destination[14], d.Destination[15] = byte(random.Uint32()), byte(random.Uint32())
		d.Protocol, d.Hook = decode.Protocol(random.Uint32()), decode.Hook(random.Uint32()%6)
		d.Family = [2]decode.Family{decode.IPv4, decode.IPv6}[random.Uint32()%2]
		table.Add(&d)
	}
	table.Export(start)
	var packets uint64
	flows := at(table, 1000)
	for _, f := range flows {
		packets += f.Packets
	}
	if most := 10 + overflowRoom + 2; len(flows) > most || packets != offered {
		t.Errorf("%d flows, at most %d wanted; %d packets, want %d", len(flows), most, packets, offered)
	}
}

// TestTotals folds random drops with random pauses of the consumer, and counts every
// packet that comes out.
func TestTotals(t *testing.T) {
	table := NewTable(Config{MaxFlows: 500})
	random := rand.New(rand.NewPCG(3, 4))
	var held []Window
	var packets uint64
	consume := func(w Window) {
		for f := range w.Flows() {
			packets += f.Packets
		}
		w.Release()
	}
	const offered = 200_000
	for i := range offered {
		d := drop("10.0.0.5", uint16(random.ExpFloat64()*300), i/50)
		table.Add(&d)
		if i%100 == 0 {
			table.Export(start.Add(time.Duration(i/50) * time.Millisecond))
		}
		select {
		case w := <-table.Windows():
			held = append(held, w)
		default:
		}
		if len(held) > 0 && random.Uint32()%1000 == 0 {
			consume(held[0])
			held = held[1:]
		}
	}
	for _, w := range held {
		consume(w)
	}
	if err := table.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for w := range table.Windows() {
		consume(w)
	}
	if packets != offered {
		t.Errorf("%d packets came out, want %d", packets, offered)
	}
}

func TestMemoryIsFreed(t *testing.T) {
	table := NewTable(Config{})
	for i := range 60_000 {
		d := drop("10.0.0.5", uint16(i), 0)
		table.Add(&d)
	}
	flooded := len(table.cache.young.index)
	for window := range 3*recentWindows + 5 {
		add(table, drop("10.0.0.5", 80, 0))
		at(table, 10_000*window)
		at(table, 10_000*window+1000)
	}
	slots := len(table.cache.young.index) + len(table.cache.old.index)
	chunks := len(table.current.chunks) + len(table.cache.young.chunks) + len(table.cache.old.chunks)
	if flooded <= 4*chunkSize || slots != 4*chunkSize || chunks > 4 {
		t.Errorf("the index had %d slots in the flood; after it %d and %d chunks", flooded, slots, chunks)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	table := NewTable(Config{})
	d := drop("10.0.0.5", 80, 0)
	d.Prefix = "deny: "
	table.Add(&d)
	if n := testing.AllocsPerRun(1000, func() { table.Add(&d) }); n != 0 {
		t.Errorf("a known flow: %v allocations a drop", n)
	}
	const flows = 10_000
	cycle := func() {
		for i := range flows {
			d.DestinationPort = uint16(i)
			table.Add(&d)
		}
		table.Export(start)
		table.Export(start.Add(time.Second))
		w := <-table.Windows()
		w.Release()
	}
	cycle() // the tables grow
	cycle()
	if n := testing.AllocsPerRun(10, cycle) / flows; n > 0.001 {
		t.Errorf("new flows in tables that have grown: %v allocations a drop", n)
	}
}
