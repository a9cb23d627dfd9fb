package flow

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/decode"
)

// row is what tells flows of the test's traffic apart.
type row struct {
	source   netip.Addr
	port     uint16
	prefix   string
	overflow bool
}

type count struct {
	packets, bytes uint64
	sourcePort     uint16 // the last packet's
}

// traffic is drops of some hundred flows: bursts, flows in turn, any flow.
type traffic struct {
	random *rand.Rand
	flows  int
	flow   int
	ms     int
}

// next returns a drop.
func (tr *traffic) next() decode.Drop {
	switch mode := tr.ms / 700 % 4; {
	case mode == 0 || tr.random.IntN(3) == 0:
		tr.flow = (tr.flow + 1) % tr.flows
	case mode == 1 || tr.random.IntN(8) == 0:
		tr.flow = tr.random.IntN(tr.flows)
	}
	tr.ms++
	return tr.drop(tr.flow)
}

func (tr *traffic) drop(flow int) decode.Drop {
	d := drop("10.0.0.5", uint16(80+flow%3), tr.ms)
	d.Source[14], d.Source[15] = byte(flow>>8), byte(flow)
	d.Prefix = fmt.Sprintf("rule %d: ", flow%4)
	d.Length = uint32(60 + tr.ms%100)
	return d
}

// model does slowly what a table should do.
type model struct {
	rows map[row]count
	room int
}

func (m *model) add(d *decode.Drop) {
	r := row{d.SourceAddr(), d.DestinationPort, d.Prefix, false}
	c, ok := m.rows[r]
	if !ok && len(m.rows) >= m.room {
		r, c = row{overflow: true}, m.rows[row{overflow: true}]
	}
	c.packets, c.bytes, c.sourcePort = c.packets+1, c.bytes+uint64(d.Length), d.SourcePort
	m.rows[r] = c
}

// rowsOf adds up the overflow flows of a window. It expects any other row once.
func rowsOf(t *testing.T, flows []Flow) map[row]count {
	t.Helper()
	rows := map[row]count{}
	for _, f := range flows {
		r, sourcePort := row{f.Source, f.DestinationPort, f.Prefix, false}, f.SourcePort
		if f.Overflow {
			r, sourcePort = row{overflow: true}, 0
		} else if _, ok := rows[r]; ok {
			t.Errorf("two rows of %+v in a window", r)
		}
		rows[r] = count{rows[r].packets + f.Packets, rows[r].bytes + f.Bytes, sourcePort}
	}
	return rows
}

// TestWindowsAgainstAModel folds the traffic of many windows. The cache starts new
// generations between windows and within them, and flows are promoted from the old one.
func TestWindowsAgainstAModel(t *testing.T) {
	for _, flows := range []int{3, 90, 150, 2000} {
		random := rand.New(rand.NewPCG(5, uint64(flows)))
		table := NewTable(Config{MaxFlows: 100, EarlyAfter: time.Hour})
		table.cache.room = 130 // so that a generation starts within windows
		tr, m := traffic{random: random, flows: flows}, model{room: 100, rows: map[row]count{}}
		started := 0
		for tr.ms < 60_000 {
			records := table.cache.young
			d := tr.next()
			table.Add(&d)
			m.add(&d)
			if random.IntN(50) == 0 {
				table.Overflowed() // as at the end of a datagram
			}
			if tr.ms%1000 == 1 { // the window begins
				at(table, tr.ms)
			}
			if tr.ms%1000 == 0 {
				got := rowsOf(t, at(table, tr.ms+1))
				if c, ok := m.rows[row{overflow: true}]; ok {
					m.rows[row{overflow: true}] = count{c.packets, c.bytes, 0}
				}
				if diff := cmp.Diff(m.rows, got, cmp.AllowUnexported(row{}, count{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
					t.Fatalf("%d flows, after %d ms: -want +got:\n%s", flows, tr.ms, diff)
				}
				clear(m.rows)
			}
			if table.cache.young != records {
				started++
			}
		}
		if flows > 130 && started < 30 {
			t.Errorf("%d flows: %d generations started", flows, started)
		}
	}
}

// TestCacheOutlivesWindows: a flow that comes back within ten windows is known,
// although other flows had the windows between, and new generations started.
func TestCacheOutlivesWindows(t *testing.T) {
	for _, others := range []int{0, 5, 100} {
		table := NewTable(Config{MaxFlows: 100})
		table.cache.room = 120
		add(table, drop("10.0.0.5", 80, 0))
		at(table, 0)
		at(table, 50) // early
		at(table, 1000)
		for window := range 5 {
			ms := 1001 + 1100*window
			for i := range others {
				// Mostly the same flows, so that not all old records are evicted.
				add(table, drop("10.0.0.6", uint16(1000+i+10*window), ms))
			}
			at(table, ms)
			at(table, ms+50)
			at(table, ms+1000)
		}
		add(table, drop("10.0.0.5", 80, 7000), drop("10.0.0.5", 81, 7000))
		at(table, 7000)
		check(t, fmt.Sprintf("early, after windows of %d others", others), at(table, 7050), wantFlow(81, 1, 7000, 7000))
	}
}

// TestKnownAfterALongWindow: a window that a busy consumer stretched beyond ten
// does not make its flows new.
func TestKnownAfterALongWindow(t *testing.T) {
	table := NewTable(Config{})
	add(table, drop("10.0.0.5", 80, 0))
	table.Export(start)
	table.Export(start.Add(time.Second))
	held := <-table.Windows()
	for ms := 1000; ms < 15_000; ms += 10 {
		add(table, drop("10.0.0.5", 80, ms))
		table.Export(start.Add(time.Duration(ms) * time.Millisecond))
	}
	held.Release()
	at(table, 15_000)
	add(table, drop("10.0.0.5", 80, 15_010))
	at(table, 15_010)
	check(t, "early", at(table, 15_070))
}

// TestFreshRecordsAreCountedOnce: a flow that comes in every window counts as one fresh
// record. So the majority of stale records is evicted.
func TestFreshRecordsAreCountedOnce(t *testing.T) {
	const all, staying = 5000, 2000
	table := NewTable(Config{})
	for window := range 5 * recentWindows {
		flows, ms := staying, 1100*window
		if window == 0 {
			flows = all
		}
		for i := range flows {
			add(table, drop("10.0.0.5", uint16(i), ms))
		}
		at(table, ms)
		at(table, ms+1000)
		if m := &table.cache; m.fresh > m.young.n {
			t.Fatalf("after window %d %d of %d records are fresh", window, m.fresh, m.young.n)
		}
	}
	if n := table.cache.young.n + table.cache.old.n; n != staying {
		t.Errorf("%d records, want those of the %d flows that stay", n, staying)
	}
}

// TestSlotHolds packs and unpacks the parts of a slot.
func TestSlotHolds(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 100_000 {
		number, entry, window, hash := random.IntN(maxRecords), random.IntN(maxRecords), random.Uint32(), random.Uint64()
		s := slotOf(number, hash).with(random.IntN(maxRecords), random.Uint32()).with(entry, window)
		if s.number() != number || !s.has(hash) || s.entryIn(window) != entry || s.entryIn(window+1) != none || s.has(hash+1) {
			t.Fatalf("record %d, hash %#x, entry %d, window %d: %#x", number, hash, entry, window, uint64(s))
		}
	}
}
