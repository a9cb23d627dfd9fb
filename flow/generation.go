package flow

import (
	"math"

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

// noTime is before every time that is the earlier one.
const noTime = math.MaxInt64

// generation is the flows of one window: entries in order of their first drop
// and an open-addressed index over them, which holds an entry's number plus
// one, 0 for a free slot.
type generation struct {
	list

	index []uint32
}

func newGeneration() *generation {
	return &generation{index: make([]uint32, 2*chunkSize)}
}

// find returns the entry with the key, or nil and the slot to put it in.
func (g *generation) find(k *key, hash uint64) (*entry, uint32) {
	mask := uint32(len(g.index) - 1)
	for slot := uint32(hash) & mask; ; slot = (slot + 1) & mask {
		at := g.index[slot]
		if at == 0 {
			return nil, slot
		}
		if e := g.at(int(at - 1)); e.tag == uint32(hash>>32) && e.key == *k {
			return e, slot
		}
	}
}

// insert adds an entry at the slot that find returned.
func (g *generation) insert(k *key, hash uint64, slot uint32, seed *seed) *entry {
	if 2*g.n == len(g.index) {
		g.grow(seed)
		_, slot = g.find(k, hash)
	}
	e := g.add(k, uint32(hash>>32))
	g.index[slot] = uint32(g.n)
	return e
}

// grow doubles the index, which is never more than half full.
func (g *generation) grow(seed *seed) {
	g.index = make([]uint32, 2*len(g.index))
	for i := range g.n {
		e := g.at(i)
		_, slot := g.find(&e.key, e.hash(seed))
		g.index[slot] = uint32(i + 1)
	}
}

// reset empties the generation for the next window and gives memory back that
// a flood took and the window since did not need.
func (g *generation) reset() {
	needed := g.n/chunkSize + 1
	if len(g.index) > 2*chunkSize && 32*g.n < len(g.index) {
		g.index = make([]uint32, 2*chunkSize)
	} else {
		clear(g.index)
	}
	g.list.reset(2 * needed)
}
