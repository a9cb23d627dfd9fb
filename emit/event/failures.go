package event

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

const (
	// maxCauses bounds the causes that are remembered as logged. Further causes are not
	// logged one by one.
	maxCauses = 256
	// causeTTL is the time after which a cause that does not come again is forgotten. It is
	// also the interval at which the log says that there are more causes.
	causeTTL = time.Hour
	// calmAfter is the time without a failed call after which a temporary cause is over. A
	// server that throttles accepts some calls and refuses others.
	calmAfter = 3 * time.Second
)

// failureLog logs each cause of failures once, not for each event. The caller serialises
// its methods.
type failureLog struct {
	logger *slog.Logger
	logged map[string]time.Time // causes, and the time of the last failure of each
	more   time.Time            // when the log last said that there are more causes
	since  time.Time            // when calls began to fail for a temporary cause; zero if they do not
	last   time.Time            // time of the last failure
}

// note logs a response if it is the first with its cause.
func (c *failureLog) note(j *request, a response, now time.Time) {
	switch a.class {
	case written:
		c.recovered(j, now)
	case temporary:
		c.last = now
		if c.since.IsZero() {
			c.since = now
			c.logger.Warn("the API server does not take all events, counts are kept until it does", "error", a.err)
		}
	case namespaceGone:
		if c.first(a.result+"/"+j.namespace, now) {
			c.logger.Warn("events dropped, their namespace is gone", "namespace", j.namespace, "error", a.err)
		}
	case forbidden:
		if c.first(a.result+"/"+j.namespace, now) {
			c.logger.Warn("events held back, the API server forbids them", "namespace", j.namespace, "error", a.err)
		}
	case invalid:
		if c.first(a.result, now) {
			c.logger.Warn("event dropped, the API server finds it invalid", "namespace", j.namespace, "event", j.name, "error", a.err)
		}
	}
}

// first reports whether to log a cause: it is new, and there are not too many.
func (c *failureLog) first(cause string, now time.Time) bool {
	if _, known := c.logged[cause]; !known && len(c.logged) >= maxCauses && !c.forget(now) {
		if c.more.IsZero() || now.Sub(c.more) >= causeTTL {
			c.more = now
			c.logger.Warn("events of more namespaces are refused than are logged one by one", "logged", maxCauses)
		}
		return false
	}
	_, known := c.logged[cause]
	c.logged[cause] = now
	return !known
}

// forget removes the causes that have not come for long. It reports whether there were any.
func (c *failureLog) forget(now time.Time) bool {
	before := len(c.logged)
	maps.DeleteFunc(c.logged, func(_ string, last time.Time) bool { return now.Sub(last) > causeTTL })
	return len(c.logged) < before
}

func (c *failureLog) recovered(j *request, now time.Time) {
	delete(c.logged, reasonForbidden+"/"+j.namespace)
	delete(c.logged, reasonNamespaceGone+"/"+j.namespace)
	if !c.since.IsZero() && now.Sub(c.last) >= calmAfter {
		c.logger.Info("the API server takes events again", "after", c.last.Sub(c.since).Round(time.Millisecond))
		c.since = time.Time{}
	}
}

// refusedAfter is the time for which every write must have been refused because of missing
// rights. An API server that has just started forbids everything for a while.
const refusedAfter = time.Minute

// refusals records since when every write is refused because of missing rights. It is safe
// for concurrent use.
type refusals struct {
	only bool // only pods of one namespace get events

	mu sync.Mutex
	refusal
}

// refusal is a time in which every write was refused; zero for none.
type refusal struct {
	since, last  time.Time
	err          error  // of the last write
	unauthorized bool   // the API server did not accept the credentials for the last write
	namespace    string // of the first write
	others       bool   // writes in other namespaces were refused too
}

// note takes a response into account. A response that says nothing about rights changes
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

// error returns why no event can be written, nil if some can. In only one namespace, a
// quota or an admission plugin may forbid them.
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

// Refused returns an error if every write for a minute or longer was refused because of
// missing rights: writes in several namespaces, or all writes because the API server does
// not accept the credentials. It returns nil after the first write that is allowed. It may
// be called concurrently with all methods.
func (s *Sink) Refused() error { return s.refused.error() }
