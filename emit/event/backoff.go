package event

import "time"

const (
	// If events are forbidden in a namespace, it is tried again after
	// firstForbiddenBackoff, which doubles up to maxForbiddenBackoff. The first back-off is
	// short, because an API server that has just started forbids everything until it has
	// read the roles.
	firstForbiddenBackoff = time.Second
	maxForbiddenBackoff   = 30 * time.Second
	goneBackoff           = time.Minute // until a missing namespace is tried again
)

// namespaceBackoff says why and how long nothing is written in one namespace.
type namespaceBackoff struct {
	since time.Time // time of the refusal
	wait  time.Duration
	until time.Time
	gone  bool // the namespace does not exist, so its flows are not accepted
}

// namespaceBackoffs holds the namespaces whose last response was a refusal.
type namespaceBackoffs map[string]namespaceBackoff

// wait returns how long nothing may be written in a namespace, 0 for now.
func (b namespaceBackoffs) wait(namespace string, now time.Time) time.Duration {
	if len(b) == 0 {
		return 0
	}
	return max(0, b[namespace].until.Sub(now))
}

// gone reports whether the namespace is known not to exist.
func (b namespaceBackoffs) gone(namespace string, now time.Time) bool {
	if len(b) == 0 {
		return false
	}
	backoff := b[namespace]
	return backoff.gone && backoff.until.After(now)
}

// forbidden reports whether the last response was that events are forbidden in
// the namespace.
func (b namespaceBackoffs) forbidden(namespace string) bool {
	backoff, ok := b[namespace]
	return ok && !backoff.gone
}

// set records a refusal. It also forgets back-offs that ended long ago, so that it holds
// only recently refused namespaces.
func (b namespaceBackoffs) set(namespace string, backoff namespaceBackoff, now time.Time) {
	for other, old := range b {
		if now.Sub(old.until) > forgetAfter {
			delete(b, other)
		}
	}
	b[namespace] = backoff
}

// begin records that a request goes out to a namespace. If the last one was refused, the
// others wait for the response to this one.
func (b namespaceBackoffs) begin(namespace string, now time.Time) {
	if backoff, refused := b[namespace]; refused {
		backoff.until, backoff.gone = now.Add(maxForbiddenBackoff), false
		b[namespace] = backoff
	}
}

// succeed ends a namespace's backoff.
func (b namespaceBackoffs) succeed(namespace string) { delete(b, namespace) }

// setForbidden records that a request which started at that time was forbidden. Requests
// that were in flight together count as one.
func (b namespaceBackoffs) setForbidden(namespace string, started, now time.Time) {
	before := b[namespace]
	if started.Before(before.since) {
		return
	}
	wait := min(max(firstForbiddenBackoff, 2*before.wait), maxForbiddenBackoff)
	b.set(namespace, namespaceBackoff{since: now, wait: wait, until: now.Add(wait)}, now)
}

// setGone records that a namespace does not exist.
func (b namespaceBackoffs) setGone(namespace string, now time.Time) {
	b.set(namespace, namespaceBackoff{until: now.Add(goneBackoff), gone: true}, now)
}
