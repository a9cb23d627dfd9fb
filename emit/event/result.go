package event

import "time"

// applyResult applies the response to a request: it updates the entry and the limiter.
func (c *correlator) applyResult(req *request, res response, now time.Time) {
	e := req.entry
	c.queue.end(e)
	if res.class != temporary && res.class != cancelled {
		c.limiter.succeeded(req.started, now)
	}
	switch res.class {
	case written:
		c.backoffs.succeed(req.namespace)
		c.applyWritten(req, res, now)
	case exists:
		e.event = eventConflict
		c.followUp(e)
	case missing:
		e.restart()
		c.followUp(e)
	case namespaceGone:
		c.applyNamespaceGone(req, now)
	case forbidden:
		c.backoffs.setForbidden(req.namespace, req.started, now)
		c.queue.makeReady(e)
	case invalid:
		c.refuse(e, reasonInvalid, now)
	case temporary:
		c.limiter.failed(req.started, now, res.overloaded(), res.pause)
		c.retry(e, res, now)
	case cancelled:
		c.queue.makeReady(e)
	}
}

// followUp makes an entry's next request due at once, because it completes the write.
func (c *correlator) followUp(e *eventEntry) {
	e.followUp = true
	c.queue.makeReady(e)
}

func (c *correlator) applyWritten(req *request, res response, now time.Time) {
	e := req.entry
	if req.op == opAdopt {
		// If this entry wrote the object, the response to that write was lost. Then
		// nothing is added.
		if res.writer == e.writer {
			res.count = int32(min(e.base, maxCount))
		}
		e.adopt(res.count, res.first)
		c.followUp(e)
		return
	}
	c.counters.written(req.packets - e.acked)
	e.written(req, now)
	c.schedule(e, now)
}

// retry delays an entry after a temporary failure. An entry that was throttled waits no
// longer than the others, because the limiter makes all of them wait.
func (c *correlator) retry(e *eventEntry, res response, now time.Time) {
	if res.result == resultThrottled {
		c.queue.makeReady(e)
		return
	}
	e.failures++
	c.queue.setTimer(e, now.Add(retryAfter(e.failures)))
}

// applyNamespaceGone gives up everything that waits in a namespace that is gone.
func (c *correlator) applyNamespaceGone(req *request, now time.Time) {
	c.backoffs.setGone(req.namespace, now)
	c.queue.makeIdle(req.entry, now) // it is given up with the others
	for _, o := range c.objects.byKey {
		if o.key.eventNamespace() != req.namespace {
			continue
		}
		for _, e := range o.entries {
			c.giveUp(e, reasonNamespaceGone)
		}
	}
}

// refuse gives up an entry whose event the API server will never accept. The entry stays,
// so that its flow is not tried again each time.
func (c *correlator) refuse(e *eventEntry, reason string, now time.Time) {
	c.counters.unwritten(reason, e.pending())
	e.acked = e.packets
	e.refused = reason
	c.queue.makeIdle(e, now)
}

// flushed counts what could not be written as unwritten, and returns it. The correlator
// cannot be used afterwards.
func (c *correlator) flushed() *unwrittenError {
	var u unwrittenError
	for _, o := range c.objects.byKey {
		for _, e := range o.entries {
			if e.pending() == 0 {
				continue
			}
			u.add(e)
			c.counters.unwritten(reasonShutdown, e.pending())
			e.acked = e.packets
		}
	}
	if u.Events == 0 {
		return nil
	}
	return &u
}
