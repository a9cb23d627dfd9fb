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

// eventState is what is known about the event in the API server.
type eventState uint8

const (
	eventAbsent   eventState = iota // not written yet, or expired: create it
	eventConflict                   // an event with this name exists: adopt it
	eventPresent                    // patch it
)

const (
	maxPrefixes = 3 // NFLOG prefixes in one message
	maxCount    = math.MaxInt32
	// clockJump is how much earlier than the previous packet a packet must be to
	// show that the clock was set back. Flows may come late, but by less.
	clockJump = time.Minute
)

// eventEntry mirrors one event object. It knows how many packets the event stands
// for, and how many of them the API server has acknowledged.
type eventEntry struct {
	object      *involvedObject
	key         entryKey
	peerEntries *peerEntries
	name        string // of the event
	writer      string // value of writerAnnotation

	peer      peer
	prefixes  []string
	flags     decode.TCPFlags
	why       string            // the reason of the last packets, "" for none
	code      policy.ReasonCode // the code of that reason
	atLeast   bool              // a rule that logged some packets has a limit
	limit     string            // the last known limit, "" for none
	aggregate *aggregate        // nil for an ordinary entry

	packets uint64 // since the event was created or adopted
	acked   uint64 // of these, those that the API server has acknowledged
	base    uint64 // the event's count when it was adopted
	// These are times of packets. first and last are of all packets. unacked is of
	// the first packet that is not acknowledged. since is of the first packet that is
	// not in flight either.
	first, last, unacked, since time.Time
	began                       time.Time // the event's first timestamp, zero if it is not known

	event        eventState
	message      string                  // as last written
	wroteCodes   string                  // reasonCodeAnnotation, as last written
	wroteRelated *corev1.ObjectReference // as last written
	lastWrite    time.Time
	lastAdd      time.Time
	interval     time.Duration
	failures     int    // in a row
	refused      string // why the API server will never take the event, "" for none

	state    queueState
	due      time.Time     // scheduled, or idle: when it is to be forgotten
	timerAt  int           // index in queue.timers
	idleAt   *list.Element // in queue.idle
	readyAt  int           // index in object.ready
	followUp bool          // the next request completes a write
	owned    bool          // the event has this entry's writerAnnotation
	bare     bool          // the event has no managed fields
}

// pending returns how many packets are not acknowledged.
func (e *eventEntry) pending() uint64 { return e.packets - e.acked }

// count returns the count that the event is to have. It stops at the largest int32.
func (e *eventEntry) count() int32 {
	return int32(min(e.base+e.packets, maxCount))
}

// atLeastText returns the sentence for a count that is a lower bound, "" for an
// exact count.
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

// related returns the object that is the peer. It returns nil if the peer is an
// address, or has no name that the event may show. Of a workload it returns the
// pod that was seen last.
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

// restart begins a new event, because the old one is gone: with the packets that
// the old one did not have.
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

// adopt continues the count of an event that an earlier run left.
func (e *eventEntry) adopt(count int32, first time.Time) {
	e.began = first
	e.base = uint64(max(count, 0))
	e.event = eventPresent
}

// written notes that the API server has acknowledged a request.
func (e *eventEntry) written(req *request, now time.Time) {
	e.acked = req.packets
	if e.event == eventAbsent || req.first.Before(e.began) {
		e.began = req.first
	}
	e.unacked = e.since
	e.message, e.wroteCodes, e.wroteRelated = req.message, req.codes, req.related
	e.event = eventPresent
	e.owned = true
	e.bare = req.op == opPatch
	e.followUp = false
	e.interval = nextInterval(e.interval, e.key.aggregate, e.object.crowded())
	e.lastWrite = now
	e.failures = 0
}
