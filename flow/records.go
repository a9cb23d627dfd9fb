package flow

import "math/bits"

// record is what the table remembers of a flow from window to window. It fills
// one line of a processor's cache.
type record struct {
	key

	hash   uint64
	seen   int64  // when it was first in its last window, in nanoseconds since 1970
	window uint32 // the number of that window
	entry  uint32 // and of its entry there
}

// records are flows in order of their first drop, and an open-addressed index
// over them.
type records struct {
	list[record]

	index []slot
	shift int // that takes a hash to its place in the index
}

// slot is a record's number plus one in its lower bits, and above them a tag,
// the lowest bits of its hash, which tells most records apart without a look at
// them; 0 is a free slot. It is as small as can be: the index is what does not
// fit into the processor's caches first.
type slot uint32

const (
	numberBits = 17
	maxRecords = 1<<numberBits - 1
	minIndex   = 2 * chunkSize
)

func newRecords() *records {
	r := &records{}
	r.setIndex(minIndex)
	return r
}

// setIndex takes a new index of a power of two of slots.
func (r *records) setIndex(slots int) {
	r.index, r.shift = make([]slot, slots), 64-bits.Len(uint(slots-1))
}

// none is no record's number.
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

// insert adds a record for a key that has none, and returns its number.
func (r *records) insert(k *key, hash uint64) int {
	if 2*r.n == len(r.index) {
		r.grow()
	}
	r.setSlot(r.n, hash)
	*r.append() = record{key: *k, hash: hash}
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

// reset forgets all, and gives memory back that was not needed.
func (r *records) reset() {
	if len(r.index) > minIndex && 32*r.n < len(r.index) {
		r.setIndex(minIndex)
	} else {
		clear(r.index)
	}
	r.list.reset()
}

func (r *records) home(hash uint64) int { return int(hash >> (r.shift & 63)) }

func (r *records) next(at int) int { return (at + 1) & (len(r.index) - 1) }

func slotOf(number int, hash uint64) slot { return slot(hash)<<numberBits | slot(number+1) }

func (s slot) has(hash uint64) bool { return (s^slot(hash)<<numberBits)>>numberBits == 0 }

func (s slot) number() int { return int(s&maxRecords) - 1 }
