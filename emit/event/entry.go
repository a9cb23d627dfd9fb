package event

import (
	"container/list"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// objectState is what is known of an entry's event object.
type objectState uint8

const (
	objectAbsent   objectState = iota // not written yet, or expired: POST
	objectConflict                    // there is one with that name: adopt it
	objectPresent                     // PATCH
)

// place is where an entry is in the correlator.
type queueState uint8

const (
	idle      queueState = iota // nothing to write: in the correlator's resting list
	scheduled                   // something to write later: in the correlator's timers
	ready                       // something to write now: in its object's ready list
	inFlight                    // being written
)

const (
	maxPrefixes = 3 // NFLOG prefixes that one message names
	maxCount    = math.MaxInt32
	// clockJump is how much earlier than the one before a packet must be for
	// the clock to have been set back. Flows may come late by less.
	clockJump = time.Minute
)

// entry mirrors one event object: how many packets it stands for and how many
// of them the API server is known to have.
type eventEntry struct {
	involvedObject *involvedObject
	key            entryKey
	share          *peerShare
	name           string // of the object
	writer         string // this entry's own mark on it

	peer      peer
	prefixes  []string
	flags     decode.TCPFlags
	why       string            // the last packets were dropped, "" where it is not known
	code      policy.ReasonCode // its code
	atLeast   bool              // a rule that logged some of the packets has a limit
	limit     string            // that limit as last known, "" where it is not
	aggregate *aggregate        // nil for an ordinary entry

	packets uint64 // seen since the object began, or was adopted
	acked   uint64 // of these, how many the API server has
	base    uint64 // the object's count when it was adopted
	// first and last are packet times. unacked is the first of the packets
	// that the API server does not have; since, of those not in flight either.
	first, last, unacked, since time.Time
	began                       time.Time // the object's first time stamp, zero: not known

	object       objectState
	message      string                  // as last written
	wroteCodes   string                  // reasonCodeAnnotation, the same
	wroteRelated *corev1.ObjectReference // the same
	lastWrite    time.Time
	lastAdd      time.Time
	interval     time.Duration
	failures     int    // in a row
	refused      string // reason why the object cannot be written, "" for none

	state    queueState
	due      time.Time     // on timer
	timerAt  int           // index in the timers
	idleAt   *list.Element // at rest
	readyAt  int           // index in the object's ready list
	followUp bool          // its next call completes a write under way
	owned    bool          // the object bears this entry's mark
	bare     bool          // the object has no managed fields
}

// pending returns how many packets are not written.
func (r *eventEntry) pending() uint64 { return r.packets - r.acked }

// count returns what the object's count is to be. It stops at what an int32
// holds rather than wrapping.
func (r *eventEntry) count() int32 {
	return int32(min(r.base+r.packets, maxCount))
}

// atLeastText says that the count is a lower bound; "" where it is exact.
func (r *eventEntry) atLeastText() string {
	if !r.atLeast {
		return ""
	}
	return atLeastText(r.limit)
}

// codes returns the value of reasonCodeAnnotation.
func (r *eventEntry) codes() string {
	if r.aggregate != nil {
		return r.aggregate.codes.String()
	}
	return string(r.code)
}

// related returns the object that is the peer, nil for none: where the peer is
// an address, or has no name that the event may tell. Of a workload's pods it is
// the one that was seen last.
func (r *eventEntry) related() *corev1.ObjectReference {
	peer := &r.peer.last
	if peer.Name == "" {
		return nil
	}
	switch peer.Kind {
	case resolve.Pod, resolve.Node, resolve.Service:
		return &corev1.ObjectReference{
			APIVersion: "v1", Kind: peer.Kind.String(), Namespace: peer.Namespace, Name: peer.Name, UID: types.UID(peer.UID),
		}
	}
	return nil
}

// fresh says that the entry was never written.
func (r *eventEntry) fresh() bool { return r.lastWrite.IsZero() }

// add counts an observation.
func (r *eventEntry) add(o *observation, defaultPrefix string, shared *aggregateRoom, now time.Time) {
	if r.packets == 0 || o.first.Before(r.first) {
		r.first = o.first
	}
	if r.pending() == 0 {
		r.unacked = o.first
	}
	if r.since.IsZero() {
		r.since = o.first
	}
	if o.last.After(r.last) || r.last.Sub(o.last) > clockJump {
		r.last = o.last
	}
	r.packets += o.Packets
	r.lastAdd = now
	if o.Reason.AtLeast {
		r.atLeast, r.limit = true, o.Reason.Limit
	}
	if r.aggregate != nil {
		r.aggregate.add(shared, o)
		return
	}
	r.why, r.code = o.why.Text, o.Reason.Code
	r.peer.see(o.peer)
	r.flags = o.TCPFlags
	if !o.why.HidePrefix && o.Prefix != defaultPrefix && len(r.prefixes) < maxPrefixes && !slices.Contains(r.prefixes, o.Prefix) {
		r.prefixes = append(r.prefixes, o.Prefix)
	}
}

// restart begins anew after the object has gone: with what it did not have.
func (r *eventEntry) restart() {
	r.packets -= r.acked
	r.acked, r.base = 0, 0
	r.first = r.unacked
	r.object = objectAbsent
	r.began = time.Time{}
	r.message, r.wroteCodes, r.wroteRelated = "", "", nil
	r.owned = false
	r.bare = false
}

// adopt goes on with the count of an object that an earlier run left.
func (r *eventEntry) adopt(count int32, first time.Time) {
	r.began = first
	r.base = uint64(max(count, 0))
	r.object = objectPresent
}

// written notes that the API server has what a request stands for.
func (r *eventEntry) written(j *request, now time.Time) {
	r.acked = j.packets
	if r.object == objectAbsent || j.first.Before(r.began) {
		r.began = j.first
	}
	r.unacked = r.since
	r.message, r.wroteCodes, r.wroteRelated = j.message, j.codes, j.related
	r.object = objectPresent
	r.owned = true
	r.bare = j.op == opPatch
	r.followUp = false
	r.interval = nextInterval(r.interval, r.key.aggregate, r.involvedObject.crowded())
	r.lastWrite = now
	r.failures = 0
}
