package event

import (
	"container/list"
	"time"

	"golang.org/x/time/rate"
)

// objectsPeriod is the time in which a pod may get Config.ObjectsPerPod event
// objects.
const objectsPeriod = time.Hour

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
	created    []time.Time // of the event objects in the last objectsPeriod, oldest first
	limiter    *rate.Limiter

	share    *namespaceShare // what its namespace has
	shareAt  *list.Element   // in share.objects
	inFlight int             // entries in flight

	ready    []*eventEntry
	activeAt int    // index in queue.active, -1 for none
	served   uint64 // the correlator's turn when it was last written
}

// peerEntries is what the entries of one peer have in common.
type peerEntries struct {
	entries int
	served  uint64 // the correlator's turn when it was last written
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

// crowded reports whether the object has more flows than it may get events.
func (o *involvedObject) crowded() bool { return o.aggregates > 0 }

// failing reports whether the last request of one of its entries failed.
func (o *involvedObject) failing() bool {
	for _, e := range o.entries {
		if e.failures > 0 {
			return true
		}
	}
	return false
}

// mayCreate reports whether another event for this peer fits into the object's
// hour. One peer gets at most half of the events, so that a scan of all its ports
// leaves some to others. Peers outside the cluster leave a quarter free, so that a
// scan from everywhere leaves some to the pods of the cluster.
func (o *involvedObject) mayCreate(peer *peerKey, perHour int, now time.Time) bool {
	for len(o.created) > 0 && now.Sub(o.created[0]) >= objectsPeriod {
		o.created = o.created[1:]
	}
	if peer.outside() {
		return len(o.created) < perHour-perHour/4
	}
	if p := o.peers[*peer]; p != nil && p.entries >= max(1, perHour/2) {
		return false
	}
	return len(o.created) < perHour
}

// entriesOf returns what the entries of a peer have in common.
func (o *involvedObject) entriesOf(peer peerKey) *peerEntries {
	p := o.peers[peer]
	if p == nil {
		p = &peerEntries{}
		o.peers[peer] = p
	}
	return p
}

// attach adds an entry, detach removes it.
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

// rank orders entries: first those whose last request has to be followed up, then
// new events, then repeats.
func (e *eventEntry) rank() int {
	switch {
	case e.followUp:
		return 0
	case e.fresh():
		return 1
	}
	return 2
}

// before reports whether the entry goes before another one of the same object.
// Between equal ranks the peer that waits longest goes first.
func (e *eventEntry) before(other *eventEntry) bool {
	if e.rank() != other.rank() {
		return e.rank() < other.rank()
	}
	return e.peerEntries.served < other.peerEntries.served
}

// objectTable holds the involved objects and their entries, and what each
// namespace has of them.
type objectTable struct {
	byKey   map[objectKey]*involvedObject
	shares  map[string]*namespaceShare // by namespace
	entries int                        // besides aggregates
}

// namespaceShare is what one namespace has of the table.
type namespaceShare struct {
	objects list.List // *involvedObject, the one that had no packet for longest first
	entries int       // besides aggregates
}

func newObjectTable() objectTable {
	return objectTable{byKey: map[objectKey]*involvedObject{}, shares: map[string]*namespaceShare{}}
}

// find returns the object of a key that has packets now, nil for none.
func (t *objectTable) find(key *objectKey) *involvedObject {
	o := t.byKey[*key]
	if o != nil {
		o.share.objects.MoveToBack(o.shareAt)
	}
	return o
}

// share returns what a namespace has, nil for nothing.
func (t *objectTable) share(namespace string) *namespaceShare { return t.shares[namespace] }

func (t *objectTable) add(o *involvedObject) {
	t.byKey[o.key] = o
	namespace := o.key.eventNamespace()
	share := t.shares[namespace]
	if share == nil {
		share = &namespaceShare{}
		t.shares[namespace] = share
	}
	o.share = share
	o.shareAt = share.objects.PushBack(o)
}

// attach adds an entry to its object.
func (t *objectTable) attach(e *eventEntry) {
	e.object.attach(e)
	if e.aggregate == nil {
		e.object.share.entries++
		t.entries++
	}
}

// detach removes an entry from its object, and the object with its last entry.
func (t *objectTable) detach(e *eventEntry) {
	o := e.object
	o.detach(e)
	if e.aggregate == nil {
		o.share.entries--
		t.entries--
	}
	if len(o.entries) > 0 {
		return
	}
	delete(t.byKey, o.key)
	o.share.objects.Remove(o.shareAt)
	if o.share.objects.Len() == 0 {
		delete(t.shares, o.key.eventNamespace())
	}
}

// largestShare returns the share of the namespace with most objects. There must
// be one.
func (t *objectTable) largestShare() *namespaceShare {
	var largest *namespaceShare
	for _, share := range t.shares {
		if largest == nil || share.objects.Len() > largest.objects.Len() {
			largest = share
		}
	}
	return largest
}
