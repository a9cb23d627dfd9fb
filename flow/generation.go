package flow

import (
	"math"
	"slices"

	"github.com/kube-nflog/kube-nflog/decode"
)

// entry is one flow of a window as the table keeps it.
type entry struct {
	key

	sourcePort uint16
	flags      decode.TCPFlags
	early      bool // not seen lately, and not handed on yet
	in, out    uint32
	tag        uint32 // half of the hash, to tell most keys apart by
	first      int64  // nanoseconds since 1970, of what is not handed on yet
	last       int64
	packets    uint64
	bytes      uint64
	// The part of packets and bytes that was handed on early.
	gavePackets, gaveBytes uint64
}

func (e *entry) add(d *decode.Drop) {
	e.packets++
	e.bytes += uint64(d.Length)
	// Packets of several CPUs are only nearly in order.
	e.first, e.last = min(e.first, d.Time), max(e.last, d.Time)
	e.in, e.out, e.sourcePort, e.flags = d.In, d.Out, d.SourcePort, d.TCPFlags
}

// generation is the flows of one window: entries in order of their first drop
// and an open-addressed index over them, which holds an entry's number plus
// one, 0 for a free slot.
type generation struct {
	entries []entry
	index   []uint32
}

// smallest is how many flows a generation has room for at first.
const smallest = 1024

func newGeneration() *generation {
	return &generation{entries: make([]entry, 0, smallest), index: make([]uint32, 2*smallest)}
}

// find returns the entry with the key, or nil and the slot to put it in.
func (g *generation) find(k *key, hash uint64) (*entry, uint32) {
	mask := uint32(len(g.index) - 1)
	for slot := uint32(hash) & mask; ; slot = (slot + 1) & mask {
		at := g.index[slot]
		if at == 0 {
			return nil, slot
		}
		if e := &g.entries[at-1]; e.tag == uint32(hash>>32) && e.key == *k {
			return e, slot
		}
	}
}

// insert adds an entry at the slot that find returned.
func (g *generation) insert(k *key, hash uint64, slot uint32, seed *seed) *entry {
	if 2*len(g.entries) == len(g.index) {
		g.grow(seed)
		_, slot = g.find(k, hash)
	}
	if len(g.entries) == cap(g.entries) {
		g.entries = slices.Grow(g.entries, len(g.entries)) // doubles, where append would copy more often
	}
	g.entries = append(g.entries, entry{key: *k, tag: uint32(hash >> 32), first: math.MaxInt64})
	g.index[slot] = uint32(len(g.entries))
	return &g.entries[len(g.entries)-1]
}

// grow doubles the index, which is never more than half full.
func (g *generation) grow(seed *seed) {
	g.index = make([]uint32, 2*len(g.index))
	for i := range g.entries {
		_, slot := g.find(&g.entries[i].key, g.entries[i].key.hash(seed))
		g.index[slot] = uint32(i + 1)
	}
}

// reset empties the generation for the next window and gives memory back that
// a flood took and the window since did not need.
func (g *generation) reset() {
	if len(g.index) > 2*smallest && len(g.entries) < len(g.index)/32 {
		*g = *newGeneration()
		return
	}
	g.entries = g.entries[:0]
	clear(g.index)
}
