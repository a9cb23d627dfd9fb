package event

import (
	"container/list"
	"time"

	"golang.org/x/time/rate"
)

// slotPeriod is the time in which an object may get so many event objects.
const slotPeriod = time.Hour

// objectKey identifies an object that events are about.
type objectKey struct {
	kind                 string // "Pod" or "Node"
	namespace, name, uid string
}

// eventNamespace returns where the object's events live: a node has no
// namespace, and kubectl looks for its events in "default".
func (k *objectKey) eventNamespace() string {
	if k.namespace == "" {
		return "default"
	}
	return k.namespace
}

// involvedObject is a pod, or this node, that events are about: its entries, and
// what it may still get.
type involvedObject struct {
	key        objectKey
	entries    map[entryKey]*eventEntry
	aggregates int
	peers      map[peerKey]*peerEntries
	created    []time.Time // of the objects in the last slotPeriod, oldest first
	limiter    *rate.Limiter

	share    *namespaceShare // what its namespace has
	shareAt  *list.Element   // in share.objects
	inFlight int             // entries in flight

	ready    []*eventEntry
	activeAt int    // index in queue.active, -1 for none
	served   uint64 // the correlator's turn when it was served last
}

// peerEntries is what the entries of one peer share.
type peerEntries struct {
	entries int
	served  uint64 // the correlator's turn when it was served last
}

func newInvolvedObject(key objectKey, cfg *Config) *involvedObject {
	return &involvedObject{
		key:      key,
		entries:  map[entryKey]*eventEntry{},
		peers:    map[peerKey]*peerEntries{},
		limiter:  rate.NewLimiter(rate.Limit(cfg.PodQPS), cfg.PodBurst),
		activeAt: -1,
	}
}

// crowded says that the object has more flows than objects.
func (o *involvedObject) crowded() bool { return o.aggregates > 0 }

// failing reports whether the last call for one of its entries failed.
func (o *involvedObject) failing() bool {
	for _, e := range o.entries {
		if e.failures > 0 {
			return true
		}
	}
	return false
}

// mayCreate says whether another object for this peer fits into the object's
// hour. One peer gets at most half of them and strangers leave a quarter free,
// so that neither a scan of all ports nor one from everywhere takes the objects
// that the neighbours need.
func (o *involvedObject) mayCreate(peer *peerKey, perHour int, now time.Time) bool {
	for len(o.created) > 0 && now.Sub(o.created[0]) >= slotPeriod {
		o.created = o.created[1:]
	}
	if peer.stranger() {
		return len(o.created) < perHour-perHour/4
	}
	if share := o.peers[*peer]; share != nil && share.entries >= max(1, perHour/2) {
		return false
	}
	return len(o.created) < perHour
}

// slot returns what the entries of a peer share.
func (o *involvedObject) entriesOf(peer peerKey) *peerEntries {
	share := o.peers[peer]
	if share == nil {
		share = &peerEntries{}
		o.peers[peer] = share
	}
	return share
}

// attach takes up an entry; detach lets it go.
func (o *involvedObject) attach(e *eventEntry) {
	e.peerEntries = o.entriesOf(e.key.peer)
	e.peerEntries.entries++
	o.entries[e.key] = e
	if e.key.aggregate {
		o.aggregates++
	}
}

func (o *involvedObject) detach(e *eventEntry) {
	delete(o.entries, e.key)
	if e.peerEntries.entries--; e.peerEntries.entries == 0 {
		delete(o.peers, e.key.peer)
	}
	if e.key.aggregate {
		o.aggregates--
	}
}

// pushReady and dropReady keep the list of entries that wait for a writer.
func (o *involvedObject) pushReady(e *eventEntry) {
	e.readyAt = len(o.ready)
	o.ready = append(o.ready, e)
}

func (o *involvedObject) dropReady(e *eventEntry) {
	last := len(o.ready) - 1
	o.ready[e.readyAt] = o.ready[last]
	o.ready[e.readyAt].readyAt = e.readyAt
	o.ready[last] = nil
	o.ready = o.ready[:last]
}

// pick returns the ready entry that should be written next, nil for none.
func (o *involvedObject) pick() *eventEntry {
	var best *eventEntry
	for _, e := range o.ready {
		if best == nil || e.before(best) {
			best = e
		}
	}
	return best
}

// rank orders entries: a write under way is completed first, then come the
// fresh ones, then repeats.
func (e *eventEntry) rank() int {
	switch {
	case e.followUp:
		return 0
	case e.fresh():
		return 1
	}
	return 2
}

// before says that r goes before o, both of one object: the peer that waits
// longest first.
func (e *eventEntry) before(other *eventEntry) bool {
	if e.rank() != other.rank() {
		return e.rank() < other.rank()
	}
	return e.peerEntries.served < other.peerEntries.served
}
