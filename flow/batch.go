package flow

import "github.com/kube-nflog/kube-nflog/decode"

// batch is how many drops are folded at once. Of many flows, each is somewhere
// else in memory, and to wait for that costs more than all the rest. So what
// the drops of a batch need is read for all of them before it is looked at: a
// processor waits for many reads at a time if none depends on another.
const batch = 32

// waiting is a drop that is to be folded.
type waiting struct {
	key

	time       int64 // nanoseconds since 1970
	length     uint32
	in, out    uint32
	sourcePort uint16
	flags      decode.TCPFlags

	hash   uint64
	slot   slot   // that has the hash, or 0
	at     int    // where it is in the index
	record int    // the number of the flow's, or none
	entry  int    // the same of its entry in the current window
	read   uint64 // what was read ahead: were it not kept, it would not be read
}

// wait puts a drop into the batch.
func (t *Table) wait(d *decode.Drop) {
	w := &t.waiting[t.nwaiting]
	t.nwaiting++
	w.source, w.destination, w.rest = addressOf(&d.Source), addressOf(&d.Destination), t.rest
	w.time, w.length, w.in, w.out, w.sourcePort, w.flags = d.Time, d.Length, d.In, d.Out, d.SourcePort, d.TCPFlags
	w.hash = w.key.hash(&t.seed)
}

// fold folds the drops of the batch.
func (t *Table) fold() {
	if t.nwaiting == 0 {
		return
	}
	drops := t.waiting[:t.nwaiting]
	t.nwaiting = 0
	t.findSlots(drops)
	t.findEntries(drops)
	in := t.memory.records
	for i := range drops {
		w := &drops[i]
		if w.entry != none {
			t.last, t.memory.next = t.current.at(w.entry), w.record+1
		} else {
			if w.record == none || t.memory.records != in { // a drop before may have added it, or begun the memory anew
				w.record = t.memory.records.find(&w.key, w.hash)
			}
			t.last = t.entry(w)
		}
		t.last.count(w.time, w.length)
		t.last.describe(w.in, w.out, w.sourcePort, w.flags)
	}
	if t.last.rest.kind()&overflow != 0 {
		t.last = nil // each drop of an overflow flow is counted as such
	}
}

// findSlots finds the drops' slots, and reads what they lead to.
func (t *Table) findSlots(drops []waiting) {
	records := t.memory.records
	for i := range drops {
		w := &drops[i]
		w.at = records.home(w.hash)
		w.slot = records.index[w.at]
	}
	for i := range drops {
		w := &drops[i]
		w.record, w.entry = none, none
		for w.slot != 0 && !w.slot.has(w.hash) {
			w.at = records.next(w.at)
			w.slot = records.index[w.at]
		}
		if w.slot == 0 {
			continue
		}
		w.record = w.slot.number()
		if entry := w.slot.entryIn(t.memory.window); entry != none && entry < t.current.n {
			w.entry = entry
			w.readEntry(t.current.at(entry))
		} else {
			w.read = records.at(w.record).hash
		}
	}
}

// readEntry reads both ends of an entry, which is on two lines of a cache mostly.
func (w *waiting) readEntry(e *entry) { w.read = e.source.high + e.bytes }

// findEntries finds out which slots have led to the drops' flows.
func (t *Table) findEntries(drops []waiting) {
	records := t.memory.records
	for i := range drops {
		w := &drops[i]
		if w.record == none || w.entry != none && t.current.at(w.entry).equals(&w.key) {
			continue
		}
		w.entry = none
		r := records.at(w.record)
		switch {
		case !r.equals(&w.key): // has the same tag
			w.record = none
		case r.window == t.memory.window:
			w.entry = int(r.entry)
			records.index[w.at] = w.slot.with(w.entry, r.window)
			w.readEntry(t.current.at(w.entry))
		}
	}
}

// entry returns the entry of a drop's flow, whose number among the records may
// be none.
func (t *Table) entry(w *waiting) *entry {
	if w.record != none {
		if e := t.inWindow(t.memory.records.at(w.record)); e != nil {
			t.memory.next = w.record + 1
			return e
		}
	}
	if t.current.n >= t.cfg.MaxFlows && !t.takeReserve(&w.key) {
		return t.insertOverflow(&w.key)
	}
	if w.record == none {
		w.record = t.memory.restore(&w.key, w.hash)
	}
	if w.record == none {
		w.record = t.memory.add(&w.key, w.hash)
	}
	t.memory.next = w.record + 1
	return t.begin(t.memory.records.at(w.record), w.time)
}

// inWindow returns the entry of a record's flow in the current window, or nil.
func (t *Table) inWindow(r *record) *entry {
	if r.window != t.memory.window {
		return nil
	}
	return t.current.at(int(r.entry))
}

// begin returns a new entry of the current window for a record's flow, which is
// to go out early if it was not seen lately.
func (t *Table) begin(r *record, time int64) *entry {
	known := t.memory.knows(r, time, t.cfg.Window)
	e := t.enter(r)
	if !known {
		t.owners.push(t.current, int32(t.current.n-1), t.owner(&r.key))
	}
	return e
}

// enter adds an entry of the current window.
func (t *Table) enter(r *record) *entry {
	e := t.current.append()
	e.key, e.last = r.key, 0 // what describe sets is set soon
	e.giveUp()
	t.memory.note(r, t.current.n-1)
	return e
}
