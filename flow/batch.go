package flow

import (
	"unsafe"

	"github.com/kube-nflog/kube-nflog/decode"
)

// batch is how many drops are folded at once. Of many flows, each is somewhere
// else in memory, and to wait for that costs more than all the rest: so what
// the drops of a batch need is asked for first, to come while the others are
// looked at.
const batch = 16

// waiting is a drop that is to be folded.
type waiting struct {
	key

	hash       uint64
	record     int   // the number of the flow's, or none
	time       int64 // nanoseconds since 1970
	length     uint32
	in, out    uint32
	sourcePort uint16
	flags      decode.TCPFlags
}

// wait puts a drop into the batch and asks for its place in the index.
func (t *Table) wait(d *decode.Drop) {
	w := &t.waiting[t.nwaiting]
	t.nwaiting++
	w.source, w.destination, w.rest = addressOf(&d.Source), addressOf(&d.Destination), t.rest
	w.time, w.length, w.in, w.out, w.sourcePort, w.flags = d.Time, d.Length, d.In, d.Out, d.SourcePort, d.TCPFlags
	w.hash = w.key.hash(&t.seed)
	t.memory.records.prefetchSlot(w.hash)
	if t.memory.missed {
		t.memory.old.prefetchSlot(w.hash)
	}
}

// fold folds the drops of the batch.
func (t *Table) fold() {
	if t.nwaiting == 0 {
		return
	}
	drops := t.waiting[:t.nwaiting]
	t.nwaiting = 0
	for i := range drops {
		t.memory.records.prefetchRecord(drops[i].hash)
	}
	for i := range drops {
		t.findRecord(&drops[i])
	}
	t.memory.missed = false
	in := t.memory.records
	for i := range drops {
		w := &drops[i]
		if w.record == none || t.memory.records != in { // a drop before may have added it, or begun the memory anew
			w.record = t.memory.recall(&w.key, w.hash)
		}
		t.last = t.entry(w)
		t.last.count(w.time, w.length)
		t.last.describe(w.in, w.out, w.sourcePort, w.flags)
	}
	if t.last.rest.kind()&overflow != 0 {
		t.last = nil // each drop of an overflow flow is counted as such
	}
}

// findRecord asks for the entry of a drop's flow, if it has one.
func (t *Table) findRecord(w *waiting) {
	if w.record = t.memory.records.find(&w.key, w.hash); w.record == none {
		return
	}
	if r := t.memory.records.at(w.record); r.window == t.memory.window {
		e := t.current.at(int(r.entry))
		prefetch(unsafe.Pointer(&e.sourcePort)) // what is behind the key
		prefetch(unsafe.Pointer(&e.bytes))
	}
}

// entry returns the entry of a drop's flow, whose record may be none.
func (t *Table) entry(w *waiting) *entry {
	if w.record != none {
		if r := t.memory.records.at(w.record); r.window == t.memory.window {
			t.memory.next = w.record + 1
			return t.current.at(int(r.entry))
		}
	}
	if t.current.n >= t.cfg.MaxFlows {
		return t.insertOverflow(&w.key)
	}
	if w.record == none {
		w.record = t.memory.add(&w.key, w.hash)
	}
	t.memory.next = w.record + 1
	return t.begin(w.record, w.time)
}

// begin returns a new entry of the current window for a record's flow, which is
// to go out early if it was not seen lately.
func (t *Table) begin(record int, time int64) *entry {
	r := t.memory.records.at(record)
	known := r.window > 0 && time-r.seen <= recentWindows*int64(t.cfg.Window)
	e := t.enter(r, time)
	if !known {
		e.early, t.unknown = true, true
	}
	return e
}

// enter adds an entry of the current window.
func (t *Table) enter(r *record, time int64) *entry {
	e := t.current.append()
	*e = entry{key: r.key, first: noTime}
	t.memory.enter(r, t.current.n-1, time)
	return e
}
