package flow

import "math/bits"

// record is what the table knows of a flow from window to window. It fills one line of a
// processor's cache.
type record struct {
	key

	hash   uint64
	window uint32 // the number of the last window that had a drop of the flow, or 0
	entry  uint32 // the number of the flow's entry there
	_      uint64
}

// records are the records of flows in order of their first drop, with an open-addressed
// hash index.
type records struct {
	slab[record]

	index []slot
	shift int // takes a hash to its place in the index
}

// slot is, from its lowest bit: a record's number plus one, the number of its entry in a
// window and the lowest bits of that window's number, as they were when the slot was last
// used, and a tag, which is the lowest bits of the hash. The tag tells most records apart
// without a look at them. The entry's number saves the look at the record if its flow is
// in the window already: each look is a wait for memory. 0 is a free slot.
type slot uint64

const (
	numberBits = 17
	windowBits = 14
	maxRecords = 1<<numberBits - 1
	minIndex   = 2 * chunkSize

	entryShift  = numberBits
	windowShift = entryShift + numberBits
	tagShift    = windowShift + windowBits
)

func newRecords() *records {
	r := &records{}
	r.setIndex(minIndex)
	return r
}

// setIndex makes a new index with a number of slots, which is a power of two.
func (r *records) setIndex(slots int) {
	r.index, r.shift = make([]slot, slots), 64-bits.Len(uint(slots-1))
}

// none is no record's and no entry's number.
const none = -1

// find returns the number of the record with the key, or none.
func (r *records) find(k *key, hash uint64) int {
	for at := r.home(hash); r.index[at] != 0; at = r.next(at) {
		if s := r.index[at]; s.has(hash) && r.at(s.number()).equals(k) {
			return s.number()
		}
	}
	return none
}

// insert adds a record, whose key must be new, and returns its number.
func (r *records) insert(added *record) int {
	if 2*r.n == len(r.index) {
		r.grow()
	}
	r.setSlot(r.n, added.hash)
	*r.append() = *added
	return r.n - 1
}

func (r *records) setSlot(number int, hash uint64) {
	at := r.home(hash)
	for r.index[at] != 0 {
		at = r.next(at)
	}
	r.index[at] = slotOf(number, hash)
}

// grow doubles the index, which is never more than half full.
func (r *records) grow() {
	r.setIndex(2 * len(r.index))
	for i := range r.n {
		r.setSlot(i, r.at(i).hash)
	}
}

// reset removes all records, and frees memory that they did not need.
func (r *records) reset() {
	if len(r.index) > minIndex && 32*r.n < len(r.index) {
		r.setIndex(minIndex)
	} else {
		clear(r.index)
	}
	r.slab.reset()
}

func (r *records) home(hash uint64) int { return int(hash >> (r.shift & 63)) }

func (r *records) next(at int) int { return (at + 1) & (len(r.index) - 1) }

func slotOf(number int, hash uint64) slot { return slot(hash)<<tagShift | slot(number+1) }

func (s slot) has(hash uint64) bool { return (s^slot(hash)<<tagShift)>>tagShift == 0 }

func (s slot) number() int { return int(s&maxRecords) - 1 }

// with returns the slot with another entry of a window.
func (s slot) with(entry int, window uint32) slot {
	const changed = slot(1<<tagShift - 1<<entryShift)
	return s&^changed | (slot(window)<<windowShift|slot(entry)<<entryShift)&changed
}

// entryIn returns the number of the entry, or none if it is of another window, as far as
// the slot's few bits can tell.
func (s slot) entryIn(window uint32) int {
	if (s>>windowShift^slot(window))&(1<<windowBits-1) != 0 {
		return none
	}
	return int(s >> entryShift & maxRecords)
}
