package event

import (
	"fmt"
	"sync"
	"time"
)

// refusedAfter is how long every write must have been refused for want of
// rights. An API server that has just started forbids everything for a while.
const refusedAfter = time.Minute

// refusals notes since when every write is refused for want of rights. Its
// methods are safe for concurrent use.
type refusals struct {
	only bool // events are for one namespace alone

	mu sync.Mutex
	refusal
}

// refusal is a time without a write that was let through, zero for none.
type refusal struct {
	since, last  time.Time
	err          error  // of the last write
	unauthorized bool   // the API server did not accept the credentials last
	namespace    string // of the first write
	others       bool   // writes in other namespaces were refused too
}

// note takes an answer into account. One that tells nothing of rights changes
// nothing.
func (r *refusals) note(j *request, a response, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	unauthorized := a.result == resultUnauthorized
	switch {
	case a.class == forbidden || unauthorized:
		if r.since.IsZero() {
			r.since, r.namespace = now, j.namespace
		}
		r.last, r.err, r.unauthorized = now, a.err, unauthorized
		r.others = r.others || j.namespace != r.namespace
	case a.class != temporary && a.class != cancelled:
		r.refusal = refusal{}
	}
}

// error returns why no event can be written, nil while some may. In one
// namespace alone a quota or an admission plugin may forbid them.
func (r *refusals) error() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.since.IsZero() || r.last.Sub(r.since) < refusedAfter:
		return nil
	case r.unauthorized:
		return fmt.Errorf("the API server does not accept the agent's credentials: %w", r.err)
	case r.others || r.only:
		return fmt.Errorf("the API server forbids every event: %w", r.err)
	}
	return nil
}

// Refused returns an error while every write for a minute or more was refused
// for want of rights: those in several namespaces, or all of them since the API
// server does not accept the credentials. It returns nil from the first write on
// that is let through. It may be called concurrently with everything.
func (e *Sink) Refused() error { return e.refused.error() }
