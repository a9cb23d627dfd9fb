package event

import "time"

const (
	// A namespace where writing is forbidden is tried again after this long,
	// doubling up to the limit. The first is short: an API server that has just
	// started forbids everything until it has read the roles.
	firstForbiddenBackoff = time.Second
	maxForbiddenBackoff   = 30 * time.Second
	goneBackoff           = time.Minute // until a namespace is asked for again
)

// hold keeps the correlator from writing in one namespace.
type namespaceBackoff struct {
	since time.Time // the refusal
	wait  time.Duration
	until time.Time
	gone  bool // the namespace does not exist, its flows are not accepted
}

// held returns how long nothing may be written in a namespace, 0 for now.
// While draining it is for good: there is one try.
func (l *correlator) backoffWait(namespace string, now time.Time) time.Duration {
	h, ok := l.backoffs[namespace]
	switch {
	case !ok:
		return 0
	case l.draining:
		return maxForbiddenBackoff
	}
	return max(0, h.until.Sub(now))
}

// gone says that the namespace is known not to exist.
func (l *correlator) gone(namespace string, now time.Time) bool {
	if len(l.backoffs) == 0 {
		return false
	}
	h, ok := l.backoffs[namespace]
	return ok && h.gone && h.until.After(now)
}

// setBackoff notes a refusal. Holds that ran out long ago are cleared on the way,
// so that there are never more than namespaces refused of late.
func (l *correlator) setBackoff(namespace string, h namespaceBackoff, now time.Time) {
	for ns, old := range l.backoffs {
		if now.Sub(old.until) > forgetAfter {
			delete(l.backoffs, ns)
		}
	}
	l.backoffs[namespace] = h
}

// probe notes that a call goes out to a namespace. If the last one was refused,
// the others wait for this one's answer.
func (l *correlator) probe(namespace string, now time.Time) {
	if h, refused := l.backoffs[namespace]; refused {
		h.until, h.gone = now.Add(maxForbiddenBackoff), false
		l.backoffs[namespace] = h
	}
}

// forbid notes that a call which started then was forbidden. Those that were
// under way together count as one.
func (l *correlator) noteForbidden(namespace string, started, now time.Time) {
	h := l.backoffs[namespace]
	if started.Before(h.since) {
		return
	}
	wait := min(max(firstForbiddenBackoff, 2*h.wait), maxForbiddenBackoff)
	l.setBackoff(namespace, namespaceBackoff{since: now, wait: wait, until: now.Add(wait)}, now)
}

// dropNamespace gives up what waits to be written in a namespace that is gone.
func (l *correlator) dropNamespace(namespace string) {
	for _, s := range l.objects {
		if s.key.eventNamespace() != namespace {
			continue
		}
		for _, r := range s.entries {
			l.giveUp(r, reasonNamespaceGone)
		}
	}
}

// giveUp counts an entry's packets as unwritten and removes it. One in flight
// stays: its answer decides.
func (l *correlator) giveUp(r *eventEntry, reason string) {
	switch r.state {
	case inFlight:
		return
	case idle:
		l.idleEntries.Remove(r.idleAt)
	case scheduled:
		l.timers.remove(r)
	case ready:
		l.dropReady(r)
	}
	l.counters.unwritten(reason, r.pending())
	l.remove(r)
}
