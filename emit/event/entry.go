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

// eventState is what is known of an entry's event in the API.
type eventState uint8

const (
	eventAbsent   eventState = iota // not written yet, or expired: POST
	eventConflict                   // there is one with that name: adopt it
	eventPresent                    // PATCH
)

const (
	maxPrefixes = 3 // NFLOG prefixes that one message names
	maxCount    = math.MaxInt32
	// clockJump is how much earlier than the one before a packet must be for
	// the clock to have been set back. Flows may come late by less.
	clockJump = time.Minute
)

// eventEntry is one event object: how many packets it stands for and how many of
// them the API server is known to have.
type eventEntry struct {
	object      *involvedObject
	key         entryKey
	peerEntries *peerEntries
	name        string // of the object
	writer      string // this entry's own mark on it

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

	event        eventState
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
func (e *eventEntry) pending() uint64 { return e.packets - e.acked }

// count returns what the object's count is to be. It stops at what an int32
// holds rather than wrapping.
func (e *eventEntry) count() int32 {
	return int32(min(e.base+e.packets, maxCount))
}

// atLeastText says that the count is a lower bound; "" where it is exact.
func (e *eventEntry) atLeastText() string {
	if !e.atLeast {
		return ""
	}
	return atLeastText(e.limit)
}

// codes returns the value of reasonCodeAnnotation.
func (e *eventEntry) codes() string {
	if e.aggregate != nil {
		return e.aggregate.codes.String()
	}
	return string(e.code)
}

// related returns the object that is the peer, nil for none: where the peer is
// an address, or has no name that the event may tell. Of a workload's pods it is
// the one that was seen last.
func (e *eventEntry) related() *corev1.ObjectReference {
	peer := &e.peer.last
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
func (e *eventEntry) fresh() bool { return e.lastWrite.IsZero() }

// add counts an observation.
func (e *eventEntry) add(o *observation, defaultPrefix string, shared *aggregateRoom, now time.Time) {
	if e.packets == 0 || o.first.Before(e.first) {
		e.first = o.first
	}
	if e.pending() == 0 {
		e.unacked = o.first
	}
	if e.since.IsZero() {
		e.since = o.first
	}
	if o.last.After(e.last) || e.last.Sub(o.last) > clockJump {
		e.last = o.last
	}
	e.packets += o.Packets
	e.lastAdd = now
	if o.Reason.AtLeast {
		e.atLeast, e.limit = true, o.Reason.Limit
	}
	if e.aggregate != nil {
		e.aggregate.add(shared, o)
		return
	}
	e.why, e.code = o.why.Text, o.Reason.Code
	e.peer.see(o.peer)
	e.flags = o.TCPFlags
	if !o.why.HidePrefix && o.Prefix != defaultPrefix && len(e.prefixes) < maxPrefixes && !slices.Contains(e.prefixes, o.Prefix) {
		e.prefixes = append(e.prefixes, o.Prefix)
	}
}

// restart begins anew after the object has gone: with what it did not have.
func (e *eventEntry) restart() {
	e.packets -= e.acked
	e.acked, e.base = 0, 0
	e.first = e.unacked
	e.event = eventAbsent
	e.began = time.Time{}
	e.message, e.wroteCodes, e.wroteRelated = "", "", nil
	e.owned = false
	e.bare = false
}

// adopt goes on with the count of an object that an earlier run left.
func (e *eventEntry) adopt(count int32, first time.Time) {
	e.began = first
	e.base = uint64(max(count, 0))
	e.event = eventPresent
}

// written notes that the API server has what a request stands for.
func (e *eventEntry) written(j *request, now time.Time) {
	e.acked = j.packets
	if e.event == eventAbsent || j.first.Before(e.began) {
		e.began = j.first
	}
	e.unacked = e.since
	e.message, e.wroteCodes, e.wroteRelated = j.message, j.codes, j.related
	e.event = eventPresent
	e.owned = true
	e.bare = j.op == opPatch
	e.followUp = false
	e.interval = nextInterval(e.interval, e.key.aggregate, e.object.crowded())
	e.lastWrite = now
	e.failures = 0
}
