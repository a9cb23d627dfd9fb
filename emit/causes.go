package emit

import (
	"log/slog"
	"time"
)

const maxCauses = 256

// causes logs what goes wrong once per cause, not per event. The caller
// serialises its methods.
type causes struct {
	logger *slog.Logger
	logged map[string]struct{}
	since  time.Time // when calls began to fail for a passing cause, zero: they do not
}

// note logs an answer if it is the first of its kind.
func (c *causes) note(j *job, a answer, now time.Time) {
	switch a.verdict {
	case written:
		c.recovered(j, now)
	case tired:
		if c.since.IsZero() {
			c.since = now
			c.logger.Warn("the API server takes no events, counts are kept until it does", "err", a.err)
		}
	case namespaceGone:
		c.once(a.result+"/"+j.namespace, "events dropped, their namespace is gone", "namespace", j.namespace, "err", a.err)
	case forbidden:
		c.once(a.result+"/"+j.namespace, "events held back, the API server forbids them", "namespace", j.namespace, "err", a.err)
	case invalid:
		c.once(a.result, "event dropped, the API server finds it invalid", "namespace", j.namespace, "event", j.name, "err", a.err)
	}
}

func (c *causes) once(cause, text string, args ...any) {
	if _, known := c.logged[cause]; known {
		return
	}
	if len(c.logged) >= maxCauses {
		clear(c.logged)
	}
	c.logged[cause] = struct{}{}
	c.logger.Warn(text, args...)
}

func (c *causes) recovered(j *job, now time.Time) {
	delete(c.logged, reasonForbidden+"/"+j.namespace)
	delete(c.logged, reasonNamespaceGone+"/"+j.namespace)
	if !c.since.IsZero() {
		c.logger.Info("the API server takes events again", "after", now.Sub(c.since).Round(time.Millisecond))
		c.since = time.Time{}
	}
}
