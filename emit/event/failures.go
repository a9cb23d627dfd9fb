package event

import (
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"
)

const (
	// maxCauses bounds the causes that are remembered as logged. Further causes are
	// not logged one by one.
	maxCauses = 256
	// causeTTL is how long a cause is remembered after it last came. It is also how
	// often the log tells that there are more causes.
	causeTTL = time.Hour
	// calmAfter is how long no call may have failed before the log tells that the
	// API server works again. A server that throttles accepts some calls in between.
	calmAfter = 3 * time.Second
)

// failureLog logs failures once for each cause, not for each event. The caller
// serialises its methods.
type failureLog struct {
	logger *slog.Logger
	logged map[string]time.Time // causes, with the time when they last came
	more   time.Time            // when the log last told that there are more
	since  time.Time            // when temporary failures began, zero for none
	last   time.Time            // the last temporary failure
}

// note logs a response if it is the first of its kind.
func (c *failureLog) note(req *request, res response, now time.Time) {
	switch res.class {
	case written:
		c.recovered(req, now)
	case temporary:
		c.last = now
		if c.since.IsZero() {
			c.since = now
			c.logger.Warn("the API server does not take all events, counts are kept until it does", "error", res.err)
		}
	case namespaceGone:
		if c.first(res.result+"/"+req.namespace, now) {
			c.logger.Warn("events dropped, their namespace is gone", "namespace", req.namespace, "error", res.err)
		}
	case forbidden:
		if c.first(res.result+"/"+req.namespace, now) {
			c.logger.Warn("events held back, the API server forbids them", "namespace", req.namespace, "error", res.err)
		}
	case invalid:
		if c.first(res.result, now) {
			c.logger.Warn("event dropped, the API server finds it invalid", "namespace", req.namespace, "event", req.name, "error", res.err)
		}
	}
}

// first reports whether a cause is to be logged: it is new, and there are not too
// many.
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

// forget forgets old causes. It reports whether there were any.
func (c *failureLog) forget(now time.Time) bool {
	before := len(c.logged)
	maps.DeleteFunc(c.logged, func(_ string, last time.Time) bool { return now.Sub(last) > causeTTL })
	return len(c.logged) < before
}

func (c *failureLog) recovered(req *request, now time.Time) {
	delete(c.logged, reasonForbidden+"/"+req.namespace)
	delete(c.logged, reasonNamespaceGone+"/"+req.namespace)
	if !c.since.IsZero() && now.Sub(c.last) >= calmAfter {
		c.logger.Info("the API server takes events again", "after", c.last.Sub(c.since).Round(time.Millisecond))
		c.since = time.Time{}
	}
}

// refusedAfter is how long every write must have been forbidden before Refused
// tells so. An API server that has just started forbids everything for a while.
const refusedAfter = time.Minute

// refusals knows since when every write is forbidden. Its methods are safe for
// concurrent use.
type refusals struct {
	only bool // events are written in one namespace only

	mu sync.Mutex
	refusal
}

// refusal is a period in which every write was forbidden, zero for none.
type refusal struct {
	since, last  time.Time
	err          error  // of the last write
	unauthorized bool   // at last the API server did not accept the credentials
	namespace    string // of the first write
	others       bool   // writes in other namespaces were forbidden too
}

// note takes in a response. A response that shows nothing about rights changes
// nothing.
func (r *refusals) note(req *request, res response, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	unauthorized := res.result == resultUnauthorized
	switch {
	case res.class == forbidden || unauthorized:
		if r.since.IsZero() {
			r.since, r.namespace = now, req.namespace
		}
		r.last, r.err, r.unauthorized = now, res.err, unauthorized
		r.others = r.others || req.namespace != r.namespace
	case res.class != temporary && res.class != cancelled:
		r.refusal = refusal{}
	}
}

// error returns why no event can be written, nil if some may. If only one namespace
// forbids events, a quota or an admission plugin may be the cause.
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

// Refused returns an error if every write has been forbidden for a minute or more:
// in several namespaces, or because the API server does not accept the credentials.
// It returns nil after the first write that is not forbidden. It may be called at
// any time.
func (s *Sink) Refused() error { return s.refused.error() }
