package event

import "time"

// nextRequest returns the next request if one may start now. Otherwise it returns nil and
// the time until asking again is useful, unless something is added or a response comes
// before.
func (c *correlator) nextRequest(now time.Time) (*request, time.Duration) {
	c.wakeDue(now)
	wait := c.queue.nextDue(now)
	if len(c.queue.active) == 0 {
		return nil, wait
	}
	if w := c.callWait(now); w > 0 {
		return nil, w
	}
	e, objectWait := c.choose(now)
	if e == nil {
		return nil, min(wait, objectWait)
	}
	return c.begin(e, now), 0
}

// wakeDue makes the due entries ready, and forgets those that have been idle for long.
func (c *correlator) wakeDue(now time.Time) {
	for e := c.queue.popTimer(now); e != nil; e = c.queue.popTimer(now) {
		if e.failures > 0 {
			c.queue.makeReady(e)
			continue
		}
		c.schedule(e, now) // sets the timer again if packets have come since
	}
	for e := c.queue.longestIdle(); e != nil && !e.due.After(now); e = c.queue.longestIdle() {
		c.forget(e)
	}
}

// callWait returns how long the node must wait before its next call. While draining, the
// deadline replaces the limiter, unless the API server is overloaded.
func (c *correlator) callWait(now time.Time) time.Duration {
	drains := c.draining && !c.limiter.overloaded(now)
	most := c.cfg.Writers
	if !drains {
		most = c.limiter.inFlight(most, now)
	}
	switch {
	case c.queue.inFlight >= most:
		return forever // the next response triggers the next call
	case drains:
		return c.limiter.pause(now)
	}
	return c.limiter.wait(now)
}

// choose returns the entry to write: by rank first, then of the object that waits longest,
// then of the peer that waits longest. If no object may be written, it returns how long
// until one may be.
func (c *correlator) choose(now time.Time) (*eventEntry, time.Duration) {
	var best *eventEntry
	wait := forever
	for _, o := range c.queue.active {
		e := o.pick()
		if w := c.entryWait(e, now); w > 0 {
			wait = min(wait, w)
			continue
		}
		if best == nil || e.rank() < best.rank() || (e.rank() == best.rank() && o.served < best.object.served) {
			best = e
		}
	}
	return best, wait
}

// entryWait returns how long an object's best entry must wait.
func (c *correlator) entryWait(e *eventEntry, now time.Time) time.Duration {
	if w := c.namespaceWait(e.object, now); w > 0 {
		return w
	}
	if e.followUp || c.draining {
		return 0
	}
	return untilToken(e.object.limiter, now)
}

// namespaceWait returns how long an object's namespace backs off. While draining it backs
// off forever, because there is only one try.
func (c *correlator) namespaceWait(o *involvedObject, now time.Time) time.Duration {
	namespace := o.key.eventNamespace()
	if _, refused := c.backoffs[namespace]; refused && c.draining {
		return forever
	}
	return c.backoffs.wait(namespace, now)
}

// begin puts an entry in flight and returns its request.
func (c *correlator) begin(e *eventEntry, now time.Time) *request {
	c.limiter.spend(now)
	c.backoffs.begin(e.object.key.eventNamespace(), now)
	if !e.followUp {
		e.object.limiter.AllowN(now, 1)
	}
	c.turn++
	e.object.served, e.peerEntries.served = c.turn, c.turn
	c.queue.begin(e)
	e.since = time.Time{}
	return c.requests.build(e, now)
}

// drain makes all entries ready that have something to write, and gives refused namespaces
// one more try.
func (c *correlator) drain(now time.Time) {
	c.draining = true
	clear(c.backoffs)
	c.limiter.skipJitter(now)
	for len(c.queue.timers) > 0 {
		e := c.queue.timers[0]
		c.queue.remove(e)
		c.queue.makeReady(e)
	}
}

// drained reports whether nothing more can be written: everything is written or refused.
func (c *correlator) drained(now time.Time) bool {
	if c.queue.inFlight > 0 || len(c.queue.timers) > 0 {
		return false
	}
	for _, o := range c.queue.active {
		if c.namespaceWait(o, now) == 0 {
			return false
		}
	}
	return true
}
