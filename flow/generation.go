package flow

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/kube-nflog/kube-nflog/decode"
)

// entry is one flow of a window as the table keeps it: what is not handed on yet.
type entry struct {
	key

	sourcePort uint16
	flags      decode.TCPFlags
	early      bool // not seen lately, and not handed on yet
	in, out    uint32
	first      int64 // nanoseconds since 1970
	last       int64
	packets    uint64
	bytes      uint64
}

// count counts a packet.
func (e *entry) count(time int64, length uint32) {
	e.packets++
	e.bytes += uint64(length)
	// Packets of several CPUs are only nearly in order.
	e.first, e.last = min(e.first, time), max(e.last, time)
}

// describe takes in what the last packet's need not share with the others.
func (e *entry) describe(in, out uint32, sourcePort uint16, flags decode.TCPFlags) {
	e.in, e.out, e.sourcePort, e.flags = in, out, sourcePort, flags
}

// noTime is before every time that is the earlier one.
const noTime = math.MaxInt64

// giveUp empties an entry that was handed on.
func (e *entry) giveUp() { e.early, e.first, e.packets, e.bytes = false, noTime, 0, 0 }

// generation is the flows of one window: entries in order of their first drop
// and an open-addressed index over them.
type generation struct {
	list

	index []slot
	shift int // that takes a hash to its place in the index
}

// slot is an entry's number plus one in its lower bits, and above them a tag,
// the lowest bits of its hash, which tells most entries apart without a look at
// them; 0 is a free slot. It is as small as can be: the index is what does not
// fit into the processor's caches first.
type slot uint32

const (
	numberBits = 17
	maxEntries = 1<<numberBits - 1
	minIndex   = 2 * chunkSize
)

func newGeneration() *generation {
	g := &generation{}
	g.setIndex(minIndex)
	return g
}

// setIndex takes a new index of a power of two of slots.
func (g *generation) setIndex(slots int) {
	g.index, g.shift = make([]slot, slots), 64-bits.Len(uint(slots-1))
}

// find returns the entry with the key, or nil and the slot to put it in.
func (g *generation) find(k *key, hash uint64) (*entry, int) {
	for at := g.home(hash); ; at = g.next(at) {
		switch s := g.index[at]; {
		case s == 0:
			return nil, at
		case s.has(hash):
			if e := g.at(s.number()); e.key == *k {
				return e, at
			}
		}
	}
}

// hasHash says whether there is an entry whose place and tag are the hash's. It
// is wrong about one or two of 2^15 flows that are not there: these are handed
// on with the window instead of early.
func (g *generation) hasHash(hash uint64) bool {
	for at := g.home(hash); g.index[at] != 0; at = g.next(at) {
		if g.index[at].has(hash) {
			return true
		}
	}
	return false
}

// prefetchSlot asks for the place in the index where the hash is, or may be put.
func (g *generation) prefetchSlot(hash uint64) { prefetch(unsafe.Pointer(&g.index[g.home(hash)])) }

// prefetchEntry asks for the entry that is most likely the hash's, if one is.
func (g *generation) prefetchEntry(hash uint64) {
	if s := g.index[g.home(hash)]; s != 0 {
		e := g.at(s.number())
		prefetch(unsafe.Pointer(e))
		prefetch(unsafe.Pointer(&e.bytes)) // its last word, on another cache line mostly
	}
}

func (g *generation) home(hash uint64) int { return int(hash >> (g.shift & 63)) }

func (g *generation) next(at int) int { return (at + 1) & (len(g.index) - 1) }

func slotOf(number int, hash uint64) slot { return slot(hash)<<numberBits | slot(number+1) }

func (s slot) has(hash uint64) bool { return (s^slot(hash)<<numberBits)>>numberBits == 0 }

func (s slot) number() int { return int(s&maxEntries) - 1 }

// insert adds an entry at the slot that find returned.
func (g *generation) insert(k *key, hash uint64, at int, seed *seed) *entry {
	if 2*g.n == len(g.index) {
		g.grow(seed)
		_, at = g.find(k, hash)
	}
	g.index[at] = slotOf(g.n, hash)
	return g.add(k)
}

// grow doubles the index, which is never more than half full.
func (g *generation) grow(seed *seed) {
	g.setIndex(2 * len(g.index))
	for i := range g.n {
		hash := g.at(i).hash(seed)
		at := g.home(hash)
		for g.index[at] != 0 {
			at = g.next(at)
		}
		g.index[at] = slotOf(i, hash)
	}
}

// reset empties the generation for the next window and gives memory back that
// a flood took and the window since did not need.
func (g *generation) reset() {
	needed := g.n/chunkSize + 1
	if len(g.index) > minIndex && 32*g.n < len(g.index) {
		g.setIndex(minIndex)
	} else {
		clear(g.index)
	}
	g.list.reset(2 * needed)
}
