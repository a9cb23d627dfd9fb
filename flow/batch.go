package flow

import "github.com/kube-nflog/kube-nflog/decode"

// batchSize is how many drops are looked up together. With many flows, each is
// somewhere else in memory, and to wait for that costs more than all the rest. So the
// table first reads what all drops of a batch need, and then uses it: the processor
// waits for many reads at once if none depends on another.
const batchSize = 32

// queuedDrop is a drop that waits to be folded.
type queuedDrop struct {
	key
	lastPacket

	time   int64 // nanoseconds since 1970
	length uint32

	hash   uint64
	slot   slot   // the slot that has the hash, or 0
	at     int    // where that slot is in the index
	number int    // of the flow's record, or none
	entry  int    // the number of the flow's entry in the current window, or none
	read   uint64 // what was read ahead; the compiler would remove a read that is not kept
}

// enqueue puts a drop into the batch, and folds the batch if it is full.
func (t *Table) enqueue(d *decode.Drop, p packed) {
	q := &t.queued[t.nqueued]
	t.nqueued++
	q.key.set(d, p)
	q.lastPacket.set(d)
	q.time, q.length = d.Time, d.Length
	q.hash = q.key.hash(&t.seed)
	if t.nqueued == len(t.queued) {
		t.fold()
	}
}

// fold folds the drops of the batch.
func (t *Table) fold() {
	if t.nqueued == 0 {
		return
	}
	drops := t.queued[:t.nqueued]
	t.nqueued = 0
	t.findSlots(drops)
	t.findEntries(drops)
	in := t.cache.young
	for i := range drops {
		q := &drops[i]
		if q.entry != none {
			t.last, t.cache.next = t.current.at(q.entry), q.number+1
		} else {
			// An earlier drop of the batch may have added the record, or started a new
			// generation, in which the number is another.
			if q.number == none || t.cache.young != in {
				q.number = t.cache.young.find(&q.key, q.hash)
			}
			t.last = t.entry(q)
		}
		t.last.count(q.time, q.length)
		t.last.lastPacket = q.lastPacket
	}
	if t.last.packed.kind()&overflow != 0 {
		t.last = nil // so that each drop of an overflow flow is counted as such
	}
}

// findSlots finds the drops' slots in the index, and reads ahead what they lead to.
func (t *Table) findSlots(drops []queuedDrop) {
	records := t.cache.young
	for i := range drops {
		q := &drops[i]
		q.at = records.home(q.hash)
		q.slot = records.index[q.at]
	}
	for i := range drops {
		q := &drops[i]
		q.number, q.entry = none, none
		for q.slot != 0 && !q.slot.has(q.hash) {
			q.at = records.next(q.at)
			q.slot = records.index[q.at]
		}
		if q.slot == 0 {
			continue
		}
		q.number = q.slot.number()
		if entry := q.slot.entryIn(t.cache.window); entry != none && entry < t.current.n {
			q.entry = entry
			q.readAhead(t.current.at(entry))
		} else {
			q.read = records.at(q.number).hash
		}
	}
}

// readAhead reads both ends of an entry, which mostly is in two lines of a cache.
func (q *queuedDrop) readAhead(e *entry) { q.read = e.source.high + e.bytes }

// findEntries checks that the slots lead to the drops' flows: a slot has only a part of
// the hash, and may know an entry of an older window.
func (t *Table) findEntries(drops []queuedDrop) {
	records := t.cache.young
	for i := range drops {
		q := &drops[i]
		if q.number == none || q.entry != none && t.current.at(q.entry).equals(&q.key) {
			continue
		}
		q.entry = none
		r := records.at(q.number)
		switch {
		case !r.equals(&q.key): // another flow with the same tag
			q.number = none
		case r.window == t.cache.window:
			q.entry = int(r.entry)
			records.index[q.at] = q.slot.with(q.entry, r.window)
			q.readAhead(t.current.at(q.entry))
		}
	}
}

// entry returns the entry of a drop's flow. The drop's record may not be known yet.
func (t *Table) entry(q *queuedDrop) *entry {
	if q.number != none {
		if e := t.inWindow(t.cache.young.at(q.number)); e != nil {
			t.cache.next = q.number + 1
			return e
		}
	}
	if t.current.n >= t.cfg.MaxFlows && !t.takeReserve(&q.key) {
		return t.insertOverflow(&q.key)
	}
	if q.number == none {
		q.number = t.cache.promote(&q.key, q.hash)
	}
	if q.number == none {
		q.number = t.cache.add(&q.key, q.hash)
	}
	t.cache.next = q.number + 1
	return t.begin(t.cache.young.at(q.number), q.time)
}

// inWindow returns the entry of a record's flow in the current window, or nil.
func (t *Table) inWindow(r *record) *entry {
	if r.window != t.cache.window {
		return nil
	}
	return t.current.at(int(r.entry))
}

// begin returns a new entry of the current window for a record's flow. The entry is to
// be exported early if the flow was not seen lately.
func (t *Table) begin(r *record, time int64) *entry {
	recent := t.cache.isRecent(r, time, t.cfg.Window)
	e := t.enter(r)
	if !recent {
		t.fair.push(t.current, int32(t.current.n-1), t.podOf(&r.key))
	}
	return e
}

// enter adds an entry for a record's flow to the current window.
func (t *Table) enter(r *record) *entry {
	e := t.current.append()
	e.key, e.last = r.key, 0 // the caller sets lastPacket
	e.clear()
	t.cache.enter(r, t.current.n-1)
	return e
}
