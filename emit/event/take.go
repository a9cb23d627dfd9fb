package event

import (
	"math"
	"time"
)

// forever is how long to wait when nothing will be due by itself.
const forever = time.Duration(math.MaxInt64)

// take returns the next request if one may start now; else nil and how long until
// it is worth asking again, unless something is added or settled before.
func (l *correlator) nextRequest(now time.Time) (*request, time.Duration) {
	l.wake(now)
	l.dueEarlier = false
	wait := l.nextTimer(now)
	if len(l.active) == 0 {
		return nil, wait
	}
	if l.outstanding >= l.inFlight(now) {
		return nil, forever // the next answer brings the next call
	}
	if w := l.limiterWait(now); w > 0 {
		return nil, w
	}
	r, podWait := l.choose(now)
	if r == nil {
		return nil, min(wait, podWait)
	}
	return l.begin(r, now), 0
}

// wake makes ready what is due and forgets what rested long enough.
func (l *correlator) wake(now time.Time) {
	for r := l.timers.pop(now); r != nil; r = l.timers.pop(now) {
		if r.failures > 0 {
			l.makeReady(r)
			continue
		}
		l.schedule(r, now) // again on timer if packets have come since
	}
	for front := l.idleEntries.Front(); front != nil; front = l.idleEntries.Front() {
		if front.Value.(*eventEntry).due.After(now) {
			return
		}
		l.forgetOne()
	}
}

func (l *correlator) nextTimer(now time.Time) time.Duration {
	wait := forever
	if due, ok := l.timers.next(); ok {
		wait = max(0, due.Sub(now))
	}
	if front := l.idleEntries.Front(); front != nil {
		wait = min(wait, max(0, front.Value.(*eventEntry).due.Sub(now)))
	}
	return wait
}

// unlimited reports whether calls go out without the limiter: while draining
// there is a deadline instead, unless the API server is overloaded.
func (l *correlator) unlimited(now time.Time) bool { return l.draining && !l.limiter.overloaded(now) }

// inFlight returns how many calls may be under way at once.
func (l *correlator) inFlight(now time.Time) int {
	if l.unlimited(now) {
		return l.cfg.Writers
	}
	return l.limiter.inFlight(l.cfg.Writers, now)
}

// limiterWait returns how long the node must wait for its next call.
func (l *correlator) limiterWait(now time.Time) time.Duration {
	if l.unlimited(now) {
		return l.limiter.pause(now)
	}
	return l.limiter.wait(now)
}

// choose picks the entry to write: by rank first, then the object that waits
// longest, then the peer that waits longest. When no object may be written it
// returns how long until one may.
func (l *correlator) choose(now time.Time) (*eventEntry, time.Duration) {
	var best *eventEntry
	wait := forever
	for _, s := range l.active {
		r := s.pick()
		if w := l.objectWait(r, now); w > 0 {
			wait = min(wait, w)
			continue
		}
		if best == nil || r.rank() < best.rank() || (r.rank() == best.rank() && s.served < best.involvedObject.served) {
			best = r
		}
	}
	return best, wait
}

// objectWait returns how long an object's best entry must wait.
func (l *correlator) objectWait(r *eventEntry, now time.Time) time.Duration {
	if w := l.backoffWait(r.involvedObject.key.eventNamespace(), now); w > 0 {
		return w
	}
	if r.followUp || l.draining {
		return 0
	}
	return untilToken(r.involvedObject.limiter, now)
}

// begin takes an entry in hand and makes the call that it needs next.
func (l *correlator) begin(r *eventEntry, now time.Time) *request {
	l.limiter.spend(now)
	l.probe(r.involvedObject.key.eventNamespace(), now)
	if !r.followUp {
		r.involvedObject.limiter.AllowN(now, 1)
	}
	l.turn++
	r.involvedObject.served, r.share.served = l.turn, l.turn
	l.dropReady(r)
	r.state = inFlight
	r.since = time.Time{}
	l.outstanding++
	r.involvedObject.outstanding++
	return l.newRequest(r, now)
}

// drained says that nothing more can be written: all is, or is refused.
func (l *correlator) drained(now time.Time) bool {
	if l.outstanding > 0 || l.timers.len() > 0 {
		return false
	}
	for _, s := range l.active {
		if l.backoffWait(s.key.eventNamespace(), now) == 0 {
			return false
		}
	}
	return true
}

// drain makes everything ready that has something to write, and gives refused
// namespaces one more try.
func (l *correlator) drain(now time.Time) {
	l.draining = true
	clear(l.backoffs)
	l.limiter.skipJitter(now)
	for l.timers.len() > 0 {
		r := l.timers.h[0]
		l.timers.remove(r)
		l.makeReady(r)
	}
}

// queued counts the entries that wait for a writer.
func (l *correlator) queued() int {
	n := 0
	for _, s := range l.active {
		n += len(s.ready)
	}
	return n
}
