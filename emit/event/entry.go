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

// eventState is what is known about an entry's event in the API.
type eventState uint8

const (
	eventAbsent   eventState = iota // not written yet, or expired: POST
	eventConflict                   // an event with that name exists: adopt it
	eventPresent                    // PATCH
)

const (
	maxPrefixes = 3 // NFLOG prefixes in one message
	maxCount    = math.MaxInt32
	// clockJump is the difference to the previous packet from which on the clock counts as
	// set back. Flows may come late by less.
	clockJump = time.Minute
)

// eventEntry mirrors one event object: how many packets it has counted, and how many of
// them the API server is known to have.
type eventEntry struct {
	object      *involvedObject
	key         entryKey
	peerEntries *peerEntries
	name        string // name of the event object
	writer      string // this entry's mark on the object

	peer      peer
	prefixes  []string
	flags     decode.TCPFlags
	why       string            // why the last packets were dropped, "" if it is not known
	code      policy.ReasonCode // the code of why
	atLeast   bool              // a rule that logged some of the packets has a limit
	limit     string            // the last known limit, "" if it is not known
	aggregate *aggregate        // nil for an ordinary entry

	packets uint64 // packets since the object was created or adopted
	acked   uint64 // how many of them the API server has
	base    uint64 // the object's count when it was adopted
	// first and last are the times of packets. unacked is the first packet that the API
	// server does not have. since is the first of those that are not in flight either.
	first, last, unacked, since time.Time
	began                       time.Time // the object's first time stamp; zero if it is not known

	event        eventState
	message      string                  // the last written message
	wroteCodes   string                  // the last written reasonCodeAnnotation
	wroteRelated *corev1.ObjectReference // the last written related object
	lastWrite    time.Time
	lastAdd      time.Time
	interval     time.Duration
	failures     int    // failures in a row
	refused      string // why the object cannot be written, "" if it can

	state    queueState
	due      time.Time     // on timer
	timerAt  int           // index in the timers
	idleAt   *list.Element // at rest
	readyAt  int           // index in the object's ready list
	followUp bool          // its next call completes a write that has begun
	owned    bool          // the object has this entry's mark
	bare     bool          // the object has no managed fields
}

// pending returns how many packets are not written.
func (e *eventEntry) pending() uint64 { return e.packets - e.acked }

// count returns the count for the object. It stops at the maximum of an int32 and does not
// wrap.
func (e *eventEntry) count() int32 {
	return int32(min(e.base+e.packets, maxCount))
}

// atLeastText returns the sentence that the count is a lower bound; "" if it is exact.
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

// related returns the peer as an object. It returns nil if the peer is an address, or if
// the event may not show its name. For a workload it is the pod that was seen last.
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

// fresh reports whether the entry was never written.
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

// restart starts a new object after the old one is gone, with the packets that the old one
// did not have.
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

// adopt continues the count of an object of an earlier run.
func (e *eventEntry) adopt(count int32, first time.Time) {
	e.began = first
	e.base = uint64(max(count, 0))
	e.event = eventPresent
}

// written records that the API server has the packets of a request.
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
