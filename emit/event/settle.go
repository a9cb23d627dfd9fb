package event

import "time"

// settle takes the answer to a job: it moves the record on and adapts the
// limiter.
func (l *ledger) settle(j *job, a answer, now time.Time) {
	r := j.record
	l.flying--
	r.subject.flying--
	if a.verdict != tired && a.verdict != cancelled {
		l.limiter.succeeded(j.started, now)
	}
	switch a.verdict {
	case written:
		l.settleWritten(j, a, now)
	case exists:
		r.object = objectConflict
		l.goOn(r)
	case missing:
		r.restart()
		l.goOn(r)
	case namespaceGone:
		l.settleGone(j, now)
	case forbidden:
		l.forbid(j.namespace, j.started, now)
		l.makeReady(r)
	case invalid:
		l.refuse(r, reasonInvalid, now)
	case tired:
		l.limiter.failed(j.started, now, a.overloaded(), a.pause)
		l.retry(r, a, now)
	case cancelled:
		l.makeReady(r)
	}
}

// goOn makes a record's next call due at once: it completes the write.
func (l *ledger) goOn(r *record) {
	r.followUp = true
	l.makeReady(r)
}

func (l *ledger) settleWritten(j *job, a answer, now time.Time) {
	r := j.record
	delete(l.holds, j.namespace)
	if j.op == opAdopt {
		l.settleAdopted(r, a)
		return
	}
	l.account.written(j.packets - r.acked)
	r.written(j, now)
	l.schedule(r, now)
}

// settleAdopted takes the count of an object that was there. When this record
// wrote it, the answer to that write was lost; then nothing is added.
func (l *ledger) settleAdopted(r *record, a answer) {
	if a.writer == r.writer {
		a.count = int32(min(r.base, maxCount))
	}
	r.adopt(a.count, a.first)
	l.goOn(r)
}

// retry puts a record off after a passing failure. One that was throttled waits
// no longer than the others: the limiter makes all of them wait.
func (l *ledger) retry(r *record, a answer, now time.Time) {
	if a.result == resultThrottled {
		l.makeReady(r)
		return
	}
	r.failures++
	l.setTimer(r, now.Add(retryAfter(r.failures)))
}

// settleGone drops what was to be written in a namespace that is gone.
func (l *ledger) settleGone(j *job, now time.Time) {
	l.setHold(j.namespace, hold{until: now.Add(goneHold), gone: true}, now)
	l.rest(j.record, now) // so that it is dropped with the others
	l.dropNamespace(j.namespace)
}

// refuse gives a record up whose object the API server will never take. It
// stays, so that its flow is not tried again each time it comes.
func (l *ledger) refuse(r *record, reason string, now time.Time) {
	l.account.unwritten(reason, r.pending())
	r.acked = r.packets
	r.refused = reason
	l.rest(r, now)
}

// flushed counts what could not be written as unwritten, for good, and returns
// it. The ledger is of no use afterwards.
func (l *ledger) flushed() *UnwrittenError {
	var u UnwrittenError
	for _, s := range l.subjects {
		for _, r := range s.records {
			if r.pending() == 0 {
				continue
			}
			u.add(r)
			l.account.unwritten(reasonShutdown, r.pending())
			r.acked = r.packets
		}
	}
	if u.Events == 0 {
		return nil
	}
	return &u
}
