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

// object is a pod, or this node: its entries, and what it may still get.
type involvedObject struct {
	key        objectKey
	entries    map[entryKey]*eventEntry
	aggregates int
	peers      map[peerKey]*peerShare
	created    []time.Time // of the objects in the last slotPeriod, oldest first
	limiter    *rate.Limiter

	use         *namespaceShare // what its namespace holds
	shareAt     *list.Element   // in use.objects
	outstanding int             // entries in flight

	ready   []*eventEntry
	readyAt int    // index in the correlator's list of objects with ready entries
	served  uint64 // the correlator's turn when it was served last
}

// peerShare is what the entries of one peer share.
type peerShare struct {
	entries int
	served  uint64 // the correlator's turn when it was served last
}

func newInvolvedObject(key objectKey, cfg *Config) *involvedObject {
	return &involvedObject{
		key:     key,
		entries: map[entryKey]*eventEntry{},
		peers:   map[peerKey]*peerShare{},
		limiter: rate.NewLimiter(rate.Limit(cfg.PodQPS), cfg.PodBurst),
		readyAt: -1,
	}
}

// crowded says that the object has more flows than objects.
func (s *involvedObject) crowded() bool { return s.aggregates > 0 }

// failing reports whether the last call for one of its entries failed.
func (s *involvedObject) failing() bool {
	for _, r := range s.entries {
		if r.failures > 0 {
			return true
		}
	}
	return false
}

// mayCreate says whether another object for this peer fits into the object's
// hour. One peer gets at most half of them and strangers leave a quarter free,
// so that neither a scan of all ports nor one from everywhere takes the objects
// that the neighbours need.
func (s *involvedObject) mayCreate(peer *peerKey, perHour int, now time.Time) bool {
	for len(s.created) > 0 && now.Sub(s.created[0]) >= slotPeriod {
		s.created = s.created[1:]
	}
	if peer.stranger() {
		return len(s.created) < perHour-perHour/4
	}
	if share := s.peers[*peer]; share != nil && share.entries >= max(1, perHour/2) {
		return false
	}
	return len(s.created) < perHour
}

// slot returns what the entries of a peer share.
func (s *involvedObject) share(peer peerKey) *peerShare {
	share := s.peers[peer]
	if share == nil {
		share = &peerShare{}
		s.peers[peer] = share
	}
	return share
}

// attach takes up an entry; detach lets it go.
func (s *involvedObject) attach(r *eventEntry) {
	r.share = s.share(r.key.peer)
	r.share.entries++
	s.entries[r.key] = r
	if r.key.aggregate {
		s.aggregates++
	}
}

func (s *involvedObject) detach(r *eventEntry) {
	delete(s.entries, r.key)
	if r.share.entries--; r.share.entries == 0 {
		delete(s.peers, r.key.peer)
	}
	if r.key.aggregate {
		s.aggregates--
	}
}

// pushReady and dropReady keep the list of entries that wait for a writer.
func (s *involvedObject) pushReady(r *eventEntry) {
	r.readyAt = len(s.ready)
	s.ready = append(s.ready, r)
}

func (s *involvedObject) dropReady(r *eventEntry) {
	last := len(s.ready) - 1
	s.ready[r.readyAt] = s.ready[last]
	s.ready[r.readyAt].readyAt = r.readyAt
	s.ready[last] = nil
	s.ready = s.ready[:last]
}

// pick returns the ready entry that should be written next, nil for none.
func (s *involvedObject) pick() *eventEntry {
	var best *eventEntry
	for _, r := range s.ready {
		if best == nil || r.before(best) {
			best = r
		}
	}
	return best
}

// rank orders entries: a write under way is completed first, then come the
// fresh ones, then repeats.
func (r *eventEntry) rank() int {
	switch {
	case r.followUp:
		return 0
	case r.fresh():
		return 1
	}
	return 2
}

// before says that r goes before o, both of one object: the peer that waits
// longest first.
func (r *eventEntry) before(o *eventEntry) bool {
	if r.rank() != o.rank() {
		return r.rank() < o.rank()
	}
	return r.share.served < o.share.served
}
