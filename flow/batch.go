package flow

import "github.com/kube-nflog/kube-nflog/decode"

// batch is how many drops are folded at once. Of many flows, each is somewhere
// else in memory, and to wait for that costs more than all the rest: so what
// the drops of a batch need is asked for first, to come while the others are
// looked at.
const batch = 16

// waiting is a drop that is to be folded.
type waiting struct {
	key

	hash       uint64
	time       int64 // nanoseconds since 1970
	length     uint32
	in, out    uint32
	sourcePort uint16
	flags      decode.TCPFlags
}

// wait puts a drop into the batch and asks for its place in the index.
func (t *Table) wait(d *decode.Drop, rest rest) {
	w := &t.waiting[t.nwaiting]
	t.nwaiting++
	w.source, w.destination, w.rest = addressOf(&d.Source), addressOf(&d.Destination), rest
	w.time, w.length, w.in, w.out, w.sourcePort, w.flags = d.Time, d.Length, d.In, d.Out, d.SourcePort, d.TCPFlags
	w.hash = w.key.hash(&t.seed)
	t.current.prefetchSlot(w.hash)
	if t.inserting {
		t.previous.prefetchSlot(w.hash)
	}
}

// fold folds the drops of the batch.
func (t *Table) fold() {
	drops := t.waiting[:t.nwaiting]
	for i := range drops {
		t.current.prefetchEntry(drops[i].hash)
	}
	before := t.current.n
	for i := range drops {
		w := &drops[i]
		t.last = t.entry(w)
		t.last.count(w.time, w.length)
		t.last.describe(w.in, w.out, w.sourcePort, w.flags)
	}
	if len(drops) > 0 && t.last.rest.kind()&overflow != 0 {
		t.last = nil // each drop of an overflow flow is counted as such
	}
	t.nwaiting, t.inserting = 0, t.current.n > before
}

// entry returns the entry of a drop's flow.
func (t *Table) entry(w *waiting) *entry {
	e, at := t.current.find(&w.key, w.hash)
	if e != nil {
		return e
	}
	if t.current.n >= t.cfg.MaxFlows {
		return t.insertOverflow(&w.key)
	}
	e = t.current.insert(&w.key, w.hash, at, &t.seed)
	if !t.isKnown(w) {
		e.early, t.unknown = true, true
	}
	return e
}

// isKnown says whether the flow was in the window before, and that not long ago.
func (t *Table) isKnown(w *waiting) bool {
	return w.time-t.sealed <= recentWindows*int64(t.cfg.Window) && t.previous.hasHash(w.hash)
}
