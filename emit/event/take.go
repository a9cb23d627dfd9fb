package event

import (
	"math"
	"time"
)

// forever is how long to wait when nothing will be due by itself.
const forever = time.Duration(math.MaxInt64)

// take returns the next job if one may start now; else nil and how long until
// it is worth asking again, unless something is added or settled before.
func (l *ledger) take(now time.Time) (*job, time.Duration) {
	l.wake(now)
	l.stirred = false
	wait := l.nextTimer(now)
	if len(l.active) == 0 {
		return nil, wait
	}
	if l.flying >= l.inFlight(now) {
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
func (l *ledger) wake(now time.Time) {
	for r := l.timers.pop(now); r != nil; r = l.timers.pop(now) {
		if r.failures > 0 {
			l.makeReady(r)
			continue
		}
		l.schedule(r, now) // again on timer if packets have come since
	}
	for front := l.resting.Front(); front != nil; front = l.resting.Front() {
		if front.Value.(*record).due.After(now) {
			return
		}
		l.forgetOne()
	}
}

func (l *ledger) nextTimer(now time.Time) time.Duration {
	wait := forever
	if due, ok := l.timers.next(); ok {
		wait = max(0, due.Sub(now))
	}
	if front := l.resting.Front(); front != nil {
		wait = min(wait, max(0, front.Value.(*record).due.Sub(now)))
	}
	return wait
}

// unlimited reports whether calls go out without the limiter: while draining
// there is a deadline instead, unless the API server is overloaded.
func (l *ledger) unlimited(now time.Time) bool { return l.draining && !l.limiter.overloaded(now) }

// inFlight returns how many calls may be under way at once.
func (l *ledger) inFlight(now time.Time) int {
	if l.unlimited(now) {
		return l.cfg.Writers
	}
	return l.limiter.inFlight(l.cfg.Writers, now)
}

// limiterWait returns how long the node must wait for its next call.
func (l *ledger) limiterWait(now time.Time) time.Duration {
	if l.unlimited(now) {
		return l.limiter.pause(now)
	}
	return l.limiter.wait(now)
}

// choose picks the record to write: by rank first, then the subject that waits
// longest, then the peer that waits longest. When no subject may be written it
// returns how long until one may.
func (l *ledger) choose(now time.Time) (*record, time.Duration) {
	var best *record
	wait := forever
	for _, s := range l.active {
		r := s.pick()
		if w := l.subjectWait(r, now); w > 0 {
			wait = min(wait, w)
			continue
		}
		if best == nil || r.rank() < best.rank() || (r.rank() == best.rank() && s.served < best.subject.served) {
			best = r
		}
	}
	return best, wait
}

// subjectWait returns how long a subject's best record must wait.
func (l *ledger) subjectWait(r *record, now time.Time) time.Duration {
	if w := l.held(r.subject.key.eventNamespace(), now); w > 0 {
		return w
	}
	if r.followUp || l.draining {
		return 0
	}
	return untilToken(r.subject.limiter, now)
}

// begin takes a record in hand and makes the call that it needs next.
func (l *ledger) begin(r *record, now time.Time) *job {
	l.limiter.spend(now)
	l.probe(r.subject.key.eventNamespace(), now)
	if !r.followUp {
		r.subject.limiter.AllowN(now, 1)
	}
	l.turn++
	r.subject.served, r.slot.served = l.turn, l.turn
	l.dropReady(r)
	r.place = inFlight
	r.since = time.Time{}
	l.flying++
	r.subject.flying++
	return l.newJob(r, now)
}

// drained says that nothing more can be written: all is, or is refused.
func (l *ledger) drained(now time.Time) bool {
	if l.flying > 0 || l.timers.len() > 0 {
		return false
	}
	for _, s := range l.active {
		if l.held(s.key.eventNamespace(), now) == 0 {
			return false
		}
	}
	return true
}

// drain makes everything ready that has something to write, and gives refused
// namespaces one more try.
func (l *ledger) drain(now time.Time) {
	l.draining = true
	clear(l.holds)
	l.limiter.skipJitter(now)
	for l.timers.len() > 0 {
		r := l.timers.h[0]
		l.timers.remove(r)
		l.makeReady(r)
	}
}

// queued counts the records that wait for a writer.
func (l *ledger) queued() int {
	n := 0
	for _, s := range l.active {
		n += len(s.ready)
	}
	return n
}
