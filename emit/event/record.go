package event

import (
	"container/list"
	"math"
	"slices"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// objectState is what is known of a record's event object.
type objectState uint8

const (
	objectAbsent   objectState = iota // not written yet, or expired: POST
	objectConflict                    // there is one with that name: adopt it
	objectPresent                     // PATCH
)

// place is where a record is in the ledger.
type place uint8

const (
	atRest   place = iota // nothing to write: in the ledger's resting list
	onTimer               // something to write later: in the ledger's timers
	ready                 // something to write now: in its subject's ready list
	inFlight              // being written
)

const (
	maxPrefixes = 3 // NFLOG prefixes that one message names
	maxCount    = math.MaxInt32
	// clockJump is how much earlier than the one before a packet must be for
	// the clock to have been set back. Flows may come late by less.
	clockJump = time.Minute
)

// record mirrors one event object: how many packets it stands for and how many
// of them the API server is known to have.
type record struct {
	subject *subject
	key     recordKey
	slot    *peerSlot
	name    string // of the object
	writer  string // this record's own mark on it

	peer     peer
	prefixes []string
	flags    decode.TCPFlags
	why      string  // the last packets were dropped, "" where it is not known
	atLeast  bool    // a rule that logged some of the packets has a limit
	limit    string  // that limit as last known, "" where it is not
	rollup   *rollup // nil for an ordinary record

	packets uint64 // seen since the object began, or was adopted
	acked   uint64 // of these, how many the API server has
	base    uint64 // the object's count when it was adopted
	// first and last are packet times. unacked is the first of the packets
	// that the API server does not have; since, of those not in flight either.
	first, last, unacked, since time.Time
	began                       time.Time // the object's first time stamp, zero: not known

	object    objectState
	message   string // as last written
	lastWrite time.Time
	lastAdd   time.Time
	interval  time.Duration
	failures  int    // in a row
	refused   string // reason why the object cannot be written, "" for none

	place    place
	due      time.Time     // on timer
	timerAt  int           // index in the timers
	restsAt  *list.Element // at rest
	readyAt  int           // index in the subject's ready list
	followUp bool          // its next call completes a write under way
	owned    bool          // the object bears this record's mark
	bare     bool          // the object has no managed fields
}

// pending returns how many packets are not written.
func (r *record) pending() uint64 { return r.packets - r.acked }

// count returns what the object's count is to be. It stops at what an int32
// holds rather than wrapping.
func (r *record) count() int32 {
	return int32(min(r.base+r.packets, maxCount))
}

// atLeastText says that the count is a lower bound; "" where it is exact.
func (r *record) atLeastText() string {
	if !r.atLeast {
		return ""
	}
	return atLeastText(r.limit)
}

// fresh says that the record was never written.
func (r *record) fresh() bool { return r.lastWrite.IsZero() }

// add counts a flow.
func (r *record) add(f *flow.Flow, ep *resolve.Endpoint, t *told, defaultPrefix string, shared *distinct, now time.Time) {
	if r.packets == 0 || f.FirstSeen.Before(r.first) {
		r.first = f.FirstSeen
	}
	if r.pending() == 0 {
		r.unacked = f.FirstSeen
	}
	if r.since.IsZero() {
		r.since = f.FirstSeen
	}
	if f.LastSeen.After(r.last) || r.last.Sub(f.LastSeen) > clockJump {
		r.last = f.LastSeen
	}
	r.packets += f.Packets
	r.lastAdd = now
	if t.atLeast {
		r.atLeast, r.limit = true, t.limit
	}
	if r.rollup != nil {
		r.rollup.add(shared, f, ep, t.Why)
		return
	}
	r.why = t.Why
	r.peer.see(ep)
	r.flags = f.TCPFlags
	if !t.HidePrefix && f.Prefix != defaultPrefix && len(r.prefixes) < maxPrefixes && !slices.Contains(r.prefixes, f.Prefix) {
		r.prefixes = append(r.prefixes, f.Prefix)
	}
}

// restart begins anew after the object has gone: with what it did not have.
func (r *record) restart() {
	r.packets -= r.acked
	r.acked, r.base = 0, 0
	r.first = r.unacked
	r.object = objectAbsent
	r.began = time.Time{}
	r.message = ""
	r.owned = false
	r.bare = false
}

// adopt goes on with the count of an object that an earlier run left.
func (r *record) adopt(count int32, first time.Time) {
	r.began = first
	r.base = uint64(max(count, 0))
	r.object = objectPresent
}

// written notes that the API server has what a job stands for.
func (r *record) written(j *job, now time.Time) {
	r.acked = j.packets
	if r.object == objectAbsent || j.first.Before(r.began) {
		r.began = j.first
	}
	r.unacked = r.since
	r.message = j.message
	r.object = objectPresent
	r.owned = true
	r.bare = j.op == opPatch
	r.followUp = false
	r.interval = nextInterval(r.interval, r.key.rollup, r.subject.crowded())
	r.lastWrite = now
	r.failures = 0
}
