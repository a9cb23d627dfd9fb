package emit

import (
	"log/slog"
	"time"
)

const (
	maxCauses = 256
	// calmAfter is how long no call must have failed for a passing cause to
	// have passed: a server that throttles takes some calls and refuses others.
	calmAfter = 3 * time.Second
)

// causes logs what goes wrong once per cause, not per event. The caller
// serialises its methods.
type causes struct {
	logger *slog.Logger
	logged map[string]struct{}
	since  time.Time // when calls began to fail for a passing cause, zero: they do not
	last   time.Time // when one failed last
}

// note logs an answer if it is the first of its kind.
func (c *causes) note(j *job, a answer, now time.Time) {
	switch a.verdict {
	case written:
		c.recovered(j, now)
	case tired:
		c.last = now
		if c.since.IsZero() {
			c.since = now
			c.logger.Warn("the API server does not take all events, counts are kept until it does", "error", a.err)
		}
	case namespaceGone:
		if c.first(a.result + "/" + j.namespace) {
			c.logger.Warn("events dropped, their namespace is gone", "namespace", j.namespace, "error", a.err)
		}
	case forbidden:
		if c.first(a.result + "/" + j.namespace) {
			c.logger.Warn("events held back, the API server forbids them", "namespace", j.namespace, "error", a.err)
		}
	case invalid:
		if c.first(a.result) {
			c.logger.Warn("event dropped, the API server finds it invalid", "namespace", j.namespace, "event", j.name, "error", a.err)
		}
	}
}

// first says that a cause was not logged yet.
func (c *causes) first(cause string) bool {
	if _, known := c.logged[cause]; known {
		return false
	}
	if len(c.logged) >= maxCauses {
		clear(c.logged)
	}
	c.logged[cause] = struct{}{}
	return true
}

func (c *causes) recovered(j *job, now time.Time) {
	delete(c.logged, reasonForbidden+"/"+j.namespace)
	delete(c.logged, reasonNamespaceGone+"/"+j.namespace)
	if !c.since.IsZero() && now.Sub(c.last) >= calmAfter {
		c.logger.Info("the API server takes events again", "after", c.last.Sub(c.since).Round(time.Millisecond))
		c.since = time.Time{}
	}
}
