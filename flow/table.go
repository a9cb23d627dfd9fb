package flow

import (
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
)

// Config sizes a Table. The zero value of a field takes its default.
type Config struct {
	// Window is how long drops of a flow are folded; default 1 s.
	Window time.Duration
	// EarlyAfter is how long the first drops of a flow that was not seen for ten
	// windows are held until the next HandOn hands them on; default 50 ms.
	EarlyAfter time.Duration
	// MaxFlows bounds the flows of a window; default 65,536, at most 104,036.
	// Beyond it there is room for a quarter as many again, of which each of this
	// node's pods has one part in 256.
	MaxFlows int
	// Local reports whether an address is one of this node's pods. It is asked
	// for each flow that is not known and for each drop that finds the window
	// full: new flows are handed on in turns of the pods, each pod has its share
	// of the table, and an overflow flow keeps the address of its pod. It must
	// not wait. Without it all flows are treated alike, and the hook decides which
	// address an overflow flow keeps.
	Local func(netip.Addr) bool
}

func (c Config) withDefaults() Config {
	if c.Window == 0 {
		c.Window = time.Second
	}
	if c.EarlyAfter == 0 {
		c.EarlyAfter = 50 * time.Millisecond
	}
	if c.MaxFlows == 0 {
		c.MaxFlows = 1 << 16
	}
	c.MaxFlows = min(c.MaxFlows, (maxRecords-overflowRoom-2)*reservePart/(reservePart+1))
	return c
}

// Table folds the drops of one group into flows, a window at a time. It belongs
// to one goroutine; the windows it sends belong to their consumer until released.
type Table struct {
	cfg  Config
	seed seed

	prefixes   []string // by index; grows only
	prefixOf   map[string]uint16
	lastPrefix uint16 // most drops in a row come from one rule

	waiting  [batch]waiting // drops to fold
	nwaiting int

	memory   memory
	current  *list[entry]
	last     *entry // of current: the last drop's if none waits, nil for none and for an overflow flow
	rest     rest   // of the last drop's key
	spare    chan *list[entry]
	early    chan *list[entry]
	windows  chan Window
	windowAt time.Time // when the current window is due; zero while it is empty
	earlyAt  time.Time // when early flows are due; zero while there are none
	owners   owners    // of the current window's flows, and which of them are early
	reserved int       // entries of current that are of the reserve
	overflow uint64

	lastLocal address // the last address that Config.Local knew, if haveLocal
	haveLocal bool
}

// NewTable returns an empty table.
func NewTable(cfg Config) *Table {
	cfg = cfg.withDefaults()
	t := &Table{
		cfg: cfg, seed: newSeed(), prefixOf: make(map[string]uint16),
		memory: newMemory(cfg.MaxFlows + cfg.reserve() + overflowRoom + 2), current: new(list[entry]), owners: newOwners(),
		spare: make(chan *list[entry], 1), early: make(chan *list[entry], 1),
		// Room for one whole window and one early one: sending never waits.
		windows: make(chan Window, 2),
	}
	t.spare <- new(list[entry])
	t.early <- new(list[entry])
	t.lastPrefix = t.addPrefix("")
	return t
}

// Windows is where windows come out. It is closed by Close. The consumer must
// release each before the table can send another like it.
func (t *Table) Windows() <-chan Window { return t.windows }

// Overflowed returns how many of all drops that were added found the window
// full and were folded into overflow flows.
func (t *Table) Overflowed() uint64 {
	t.fold()
	return t.overflow
}

// Add folds a drop in, at once or with those that follow, at the latest when
// HandOn, Overflowed or Close is called. It does not wait, and allocates only
// while the table grows.
func (t *Table) Add(d *decode.Drop) {
	t.rest = restOf(d, t.prefix(d.Prefix))
	if t.nwaiting == 0 && t.last != nil && t.last.is(d, t.rest) { // packets of a flow come in bursts
		t.tally(d)
		return
	}
	t.add(d)
}

// AddAlike is Add for a drop that differs from the one added last in addresses,
// ports, or ICMP type and code, and otherwise in nothing but what no key has.
func (t *Table) AddAlike(d *decode.Drop) {
	t.rest = t.rest.with(d)
	t.add(d)
}

// Again is Add for a drop of the same flow as the one that was added last.
func (t *Table) Again(d *decode.Drop) {
	if t.nwaiting > 0 || t.last == nil {
		t.add(d)
		return
	}
	t.tally(d)
}

// tally counts a drop of the last one's flow.
func (t *Table) tally(d *decode.Drop) {
	t.last.count(d.Time, d.Length)
	t.last.describe(d.In, d.Out, d.SourcePort, d.TCPFlags)
}

func (t *Table) add(d *decode.Drop) {
	if t.nwaiting == 0 && t.last != nil && t.guessed(d) {
		t.tally(d)
		return
	}
	t.wait(d)
	if t.nwaiting == len(t.waiting) {
		t.fold()
	}
}

// guessed says whether the memory has guessed a drop's flow, whose entry is the
// last one then.
func (t *Table) guessed(d *decode.Drop) bool {
	record := t.memory.guess()
	r := t.memory.records.at(record)
	if !r.is(d, t.rest) {
		return false
	}
	e := t.inWindow(r)
	if e == nil {
		if t.current.n >= t.cfg.MaxFlows {
			return false
		}
		e = t.begin(r, d.Time)
	}
	t.last, t.memory.next = e, record+1
	return true
}

func (t *Table) prefix(text string) uint16 {
	if t.prefixes[t.lastPrefix] == text {
		return t.lastPrefix
	}
	at, ok := t.prefixOf[text]
	if !ok {
		at = t.addPrefix(text)
	}
	t.lastPrefix = at
	return at
}

// addPrefix numbers a prefix. The decoder gives out fewer than there is room
// for; what comes beyond shares the last number.
func (t *Table) addPrefix(text string) uint16 {
	if len(t.prefixes) == maxPrefixes {
		return maxPrefixes - 1
	}
	at := uint16(len(t.prefixes))
	t.prefixes, t.prefixOf[text] = append(t.prefixes, text), at
	return at
}
