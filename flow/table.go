package flow

import (
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
)

// Config sizes a Table. A field that is zero takes its default.
type Config struct {
	// Window is how long drops of a flow are folded; default 1 s.
	Window time.Duration
	// EarlyAfter is how long the first drops of a flow that was not seen for ten windows
	// are held until the next Export exports them; default 50 ms.
	EarlyAfter time.Duration
	// MaxFlows bounds the flows of a window; default 65,536, at most 104,036. Beyond it
	// there is a reserve of a quarter as many, of which each of this node's pods may use
	// one part in 256.
	MaxFlows int
	// Local reports whether an address is one of this node's pods. It must not wait. The
	// table calls it for each flow that was not seen lately, and for each drop that finds
	// the window full. The pods take turns when new flows are exported, each pod has its
	// share of the reserve, and an overflow flow keeps the address of its pod. If Local is
	// nil, all flows are treated alike, and the hook decides which address an overflow
	// flow keeps.
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

// Table folds the drops of one group into flows, a window at a time. It belongs to one
// goroutine. The windows that it sends belong to their consumer until they are released.
type Table struct {
	cfg  Config
	seed seed

	prefixes   []string // by index; only grows
	prefixOf   map[string]uint16
	lastPrefix uint16 // of the last drop

	queued  [batchSize]queuedDrop // drops to fold
	nqueued int

	cache      flowCache
	current    *slab[entry]
	last       *entry // the last drop's entry in current; nil if there is none or it is an overflow flow
	spare      chan *slab[entry]
	early      chan *slab[entry]
	windows    chan Window
	windowAt   time.Time // when the current window is due; zero while it is empty
	earlyAt    time.Time // when early flows are due; zero while there are none
	fair       fairQueue // the current window's early flows
	reserved   int       // entries of current that are in the reserve
	overflowed uint64

	lastLocal address // the last address that Config.Local knew, if haveLocal
	haveLocal bool
}

// NewTable returns an empty table.
func NewTable(cfg Config) *Table {
	cfg = cfg.withDefaults()
	t := &Table{
		cfg: cfg, seed: newSeed(), prefixOf: make(map[string]uint16),
		cache:   newFlowCache(cfg.MaxFlows + cfg.reserve() + overflowRoom + 2),
		current: new(slab[entry]), fair: newFairQueue(),
		spare: make(chan *slab[entry], 1), early: make(chan *slab[entry], 1),
		// Room for one whole window and one early one, so that sending never waits.
		windows: make(chan Window, 2),
	}
	t.spare <- new(slab[entry])
	t.early <- new(slab[entry])
	t.lastPrefix = t.addPrefix("")
	return t
}

// Windows is where windows come out. Close closes it. The consumer must release each
// window before the table can send another one like it.
func (t *Table) Windows() <-chan Window { return t.windows }

// Overflowed returns how many of all drops that were added found the window full and
// were folded into overflow flows.
func (t *Table) Overflowed() uint64 {
	t.fold()
	return t.overflowed
}

// Add folds a drop in. It may fold it together with later ones, at the latest when
// Export, Overflowed or Close is called. It does not wait, and allocates only while the
// table grows.
func (t *Table) Add(d *decode.Drop) {
	p := packDrop(d, t.prefix(d.Prefix))
	// Drops must be folded in order, so that a flow's last packet is the last one.
	if t.nqueued == 0 && t.last != nil && (t.last.is(d, p) || t.isNext(d, p)) {
		t.last.count(d.Time, d.Length)
		t.last.lastPacket.set(d)
		return
	}
	t.enqueue(d, p)
}

// isNext reports whether a drop is of the flow that came after the last one when both
// were new. If so, its entry becomes the last one.
func (t *Table) isNext(d *decode.Drop, p packed) bool {
	number := t.cache.nextNumber()
	r := t.cache.young.at(number)
	if !r.is(d, p) {
		return false
	}
	e := t.inWindow(r)
	if e == nil {
		if t.current.n >= t.cfg.MaxFlows {
			return false
		}
		e = t.begin(r, d.Time)
	}
	t.last, t.cache.next = e, number+1
	return true
}

// prefix returns the number of a prefix. Most drops have that of the drop before.
func (t *Table) prefix(text string) uint16 {
	if t.prefixes[t.lastPrefix] == text {
		return t.lastPrefix
	}
	number, ok := t.prefixOf[text]
	if !ok {
		number = t.addPrefix(text)
	}
	t.lastPrefix = number
	return number
}

// addPrefix numbers a prefix. The decoder tells fewer prefixes apart than there are
// numbers. Any beyond share the last number.
func (t *Table) addPrefix(text string) uint16 {
	if len(t.prefixes) == maxPrefixes {
		return maxPrefixes - 1
	}
	number := uint16(len(t.prefixes))
	t.prefixes, t.prefixOf[text] = append(t.prefixes, text), number
	return number
}
