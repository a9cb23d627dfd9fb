package event

import "time"

const (
	// A namespace where writing is forbidden is tried again after this long,
	// doubling up to the limit. The first is short: an API server that has just
	// started forbids everything until it has read the roles.
	firstHold     = time.Second
	forbiddenHold = 30 * time.Second
	goneHold      = time.Minute // until a namespace is asked for again
)

// hold keeps the ledger from writing in one namespace.
type hold struct {
	since time.Time // the refusal
	wait  time.Duration
	until time.Time
	gone  bool // the namespace does not exist, its flows are not accepted
}

// held returns how long nothing may be written in a namespace, 0 for now.
// While draining it is for good: there is one try.
func (l *ledger) held(namespace string, now time.Time) time.Duration {
	h, ok := l.holds[namespace]
	switch {
	case !ok:
		return 0
	case l.draining:
		return forbiddenHold
	}
	return max(0, h.until.Sub(now))
}

// gone says that the namespace is known not to exist.
func (l *ledger) gone(namespace string, now time.Time) bool {
	if len(l.holds) == 0 {
		return false
	}
	h, ok := l.holds[namespace]
	return ok && h.gone && h.until.After(now)
}

// setHold notes a refusal. Holds that ran out long ago are cleared on the way,
// so that there are never more than namespaces refused of late.
func (l *ledger) setHold(namespace string, h hold, now time.Time) {
	for ns, old := range l.holds {
		if now.Sub(old.until) > forgetAfter {
			delete(l.holds, ns)
		}
	}
	l.holds[namespace] = h
}

// probe notes that a call goes out to a namespace. If the last one was refused,
// the others wait for this one's answer.
func (l *ledger) probe(namespace string, now time.Time) {
	if h, refused := l.holds[namespace]; refused {
		h.until, h.gone = now.Add(forbiddenHold), false
		l.holds[namespace] = h
	}
}

// forbid notes that a call which started then was forbidden. Those that were
// under way together count as one.
func (l *ledger) forbid(namespace string, started, now time.Time) {
	h := l.holds[namespace]
	if started.Before(h.since) {
		return
	}
	wait := min(max(firstHold, 2*h.wait), forbiddenHold)
	l.setHold(namespace, hold{since: now, wait: wait, until: now.Add(wait)}, now)
}

// dropNamespace gives up what waits to be written in a namespace that is gone.
func (l *ledger) dropNamespace(namespace string) {
	for _, s := range l.subjects {
		if s.key.eventNamespace() != namespace {
			continue
		}
		for _, r := range s.records {
			l.giveUp(r, reasonNamespaceGone)
		}
	}
}

// giveUp counts a record's packets as unwritten and removes it. One in flight
// stays: its answer decides.
func (l *ledger) giveUp(r *record, reason string) {
	switch r.place {
	case inFlight:
		return
	case atRest:
		l.resting.Remove(r.restsAt)
	case onTimer:
		l.timers.remove(r)
	case ready:
		l.dropReady(r)
	}
	l.account.unwritten(reason, r.pending())
	l.remove(r)
}
