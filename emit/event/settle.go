package event

import "time"

// settle takes the answer to a request: it moves the entry on and adapts the
// limiter.
func (l *correlator) applyResult(j *request, a response, now time.Time) {
	r := j.eventEntry
	l.outstanding--
	r.involvedObject.outstanding--
	if a.class != temporary && a.class != cancelled {
		l.limiter.succeeded(j.started, now)
	}
	switch a.class {
	case written:
		l.applyWritten(j, a, now)
	case exists:
		r.object = objectConflict
		l.goOn(r)
	case missing:
		r.restart()
		l.goOn(r)
	case namespaceGone:
		l.applyNamespaceGone(j, now)
	case forbidden:
		l.noteForbidden(j.namespace, j.started, now)
		l.makeReady(r)
	case invalid:
		l.refuse(r, reasonInvalid, now)
	case temporary:
		l.limiter.failed(j.started, now, a.overloaded(), a.pause)
		l.retry(r, a, now)
	case cancelled:
		l.makeReady(r)
	}
}

// goOn makes an entry's next call due at once: it completes the write.
func (l *correlator) goOn(r *eventEntry) {
	r.followUp = true
	l.makeReady(r)
}

func (l *correlator) applyWritten(j *request, a response, now time.Time) {
	r := j.eventEntry
	delete(l.backoffs, j.namespace)
	if j.op == opAdopt {
		l.applyAdopted(r, a)
		return
	}
	l.counters.written(j.packets - r.acked)
	r.written(j, now)
	l.schedule(r, now)
}

// applyAdopted takes the count of an object that was there. When this entry
// wrote it, the answer to that write was lost; then nothing is added.
func (l *correlator) applyAdopted(r *eventEntry, a response) {
	if a.writer == r.writer {
		a.count = int32(min(r.base, maxCount))
	}
	r.adopt(a.count, a.first)
	l.goOn(r)
}

// retry puts an entry off after a passing failure. One that was throttled waits
// no longer than the others: the limiter makes all of them wait.
func (l *correlator) retry(r *eventEntry, a response, now time.Time) {
	if a.result == resultThrottled {
		l.makeReady(r)
		return
	}
	r.failures++
	l.setTimer(r, now.Add(retryAfter(r.failures)))
}

// applyNamespaceGone drops what was to be written in a namespace that is gone.
func (l *correlator) applyNamespaceGone(j *request, now time.Time) {
	l.setBackoff(j.namespace, namespaceBackoff{until: now.Add(goneBackoff), gone: true}, now)
	l.makeIdle(j.eventEntry, now) // so that it is dropped with the others
	l.dropNamespace(j.namespace)
}

// refuse gives an entry up whose object the API server will never take. It
// stays, so that its flow is not tried again each time it comes.
func (l *correlator) refuse(r *eventEntry, reason string, now time.Time) {
	l.counters.unwritten(reason, r.pending())
	r.acked = r.packets
	r.refused = reason
	l.makeIdle(r, now)
}

// flushed counts what could not be written as unwritten, for good, and returns
// it. The correlator is of no use afterwards.
func (l *correlator) flushed() *unwrittenError {
	var u unwrittenError
	for _, s := range l.objects {
		for _, r := range s.entries {
			if r.pending() == 0 {
				continue
			}
			u.add(r)
			l.counters.unwritten(reasonShutdown, r.pending())
			r.acked = r.packets
		}
	}
	if u.Events == 0 {
		return nil
	}
	return &u
}
