package event

import (
	"container/list"
	"time"

	"golang.org/x/time/rate"
)

// slotPeriod is the time in which a subject may get so many event objects.
const slotPeriod = time.Hour

// subjectKey identifies an object that events are about.
type subjectKey struct {
	kind                 string // "Pod" or "Node"
	namespace, name, uid string
}

// eventNamespace returns where the subject's events live: a node has no
// namespace, and kubectl looks for its events in "default".
func (k *subjectKey) eventNamespace() string {
	if k.namespace == "" {
		return "default"
	}
	return k.namespace
}

// subject is a pod, or this node: its records, and what it may still get.
type subject struct {
	key     subjectKey
	records map[recordKey]*record
	rollups int
	peers   map[peerKey]*peerSlot
	created []time.Time // of the objects in the last slotPeriod, oldest first
	limiter *rate.Limiter

	use    *namespaceUse // what its namespace holds
	usedAt *list.Element // in use.subjects
	flying int           // records in flight

	ready   []*record
	readyAt int    // index in the ledger's list of subjects with ready records
	served  uint64 // the ledger's turn when it was served last
}

// peerSlot is what the records of one peer share.
type peerSlot struct {
	records int
	served  uint64 // the ledger's turn when it was served last
}

func newSubject(key subjectKey, cfg *Config) *subject {
	return &subject{
		key:     key,
		records: map[recordKey]*record{},
		peers:   map[peerKey]*peerSlot{},
		limiter: rate.NewLimiter(rate.Limit(cfg.PodQPS), cfg.PodBurst),
		readyAt: -1,
	}
}

// crowded says that the subject has more flows than objects.
func (s *subject) crowded() bool { return s.rollups > 0 }

// failing reports whether the last call for one of its records failed.
func (s *subject) failing() bool {
	for _, r := range s.records {
		if r.failures > 0 {
			return true
		}
	}
	return false
}

// mayCreate says whether another object for this peer fits into the subject's
// hour. One peer gets at most half of them and strangers leave a quarter free,
// so that neither a scan of all ports nor one from everywhere takes the objects
// that the neighbours need.
func (s *subject) mayCreate(peer *peerKey, perHour int, now time.Time) bool {
	for len(s.created) > 0 && now.Sub(s.created[0]) >= slotPeriod {
		s.created = s.created[1:]
	}
	if peer.stranger() {
		return len(s.created) < perHour-perHour/4
	}
	if slot := s.peers[*peer]; slot != nil && slot.records >= max(1, perHour/2) {
		return false
	}
	return len(s.created) < perHour
}

// slot returns what the records of a peer share.
func (s *subject) slot(peer peerKey) *peerSlot {
	slot := s.peers[peer]
	if slot == nil {
		slot = &peerSlot{}
		s.peers[peer] = slot
	}
	return slot
}

// attach takes up a record; detach lets it go.
func (s *subject) attach(r *record) {
	r.slot = s.slot(r.key.peer)
	r.slot.records++
	s.records[r.key] = r
	if r.key.rollup {
		s.rollups++
	}
}

func (s *subject) detach(r *record) {
	delete(s.records, r.key)
	if r.slot.records--; r.slot.records == 0 {
		delete(s.peers, r.key.peer)
	}
	if r.key.rollup {
		s.rollups--
	}
}

// pushReady and dropReady keep the list of records that wait for a writer.
func (s *subject) pushReady(r *record) {
	r.readyAt = len(s.ready)
	s.ready = append(s.ready, r)
}

func (s *subject) dropReady(r *record) {
	last := len(s.ready) - 1
	s.ready[r.readyAt] = s.ready[last]
	s.ready[r.readyAt].readyAt = r.readyAt
	s.ready[last] = nil
	s.ready = s.ready[:last]
}

// pick returns the ready record that should be written next, nil for none.
func (s *subject) pick() *record {
	var best *record
	for _, r := range s.ready {
		if best == nil || r.before(best) {
			best = r
		}
	}
	return best
}

// rank orders records: a write under way is completed first, then come the
// fresh ones, then repeats.
func (r *record) rank() int {
	switch {
	case r.followUp:
		return 0
	case r.fresh():
		return 1
	}
	return 2
}

// before says that r goes before o, both of one subject: the peer that waits
// longest first.
func (r *record) before(o *record) bool {
	if r.rank() != o.rank() {
		return r.rank() < o.rank()
	}
	return r.slot.served < o.slot.served
}
