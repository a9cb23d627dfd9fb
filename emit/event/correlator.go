package event

import (
	"fmt"
	"hash/maphash"
	"text/template"
	"time"
)

// correlator folds observations into events, and decides which event is written next. It
// does no I/O, starts no goroutine, and gets the time as an argument. The Sink serialises
// its methods. add takes a flow in. Run gets requests from nextRequest, and gives each
// response to applyResult.
type correlator struct {
	cfg      *Config
	counters *counters
	requests requestBuilder

	objects  objectTable
	queue    queue
	backoffs namespaceBackoffs
	limiter  *adaptiveLimiter
	room     aggregateRoom

	run      string // identifies this run
	created  uint64 // number of entries so far
	turn     uint64 // number of requests so far
	draining bool
}

func newCorrelator(cfg *Config, message *template.Template, run string, a *counters) *correlator {
	return &correlator{
		cfg:      cfg,
		counters: a,
		requests: requestBuilder{cfg: cfg, message: message},
		objects:  newObjectTable(),
		backoffs: namespaceBackoffs{},
		limiter:  newAdaptiveLimiter(cfg.QPS, cfg.Burst),
		room:     aggregateRoom{seed: maphash.MakeSeed(), peerRoom: maxAllPeers, targetRoom: maxAllTargets},
		run:      run,
	}
}

// add counts an observation. It returns the reason why it could not, or "".
func (c *correlator) add(o *observation, now time.Time) string {
	if c.backoffs.gone(o.object.eventNamespace(), now) {
		return reasonNamespaceGone
	}
	object := c.objectFor(&o.object)
	if object == nil {
		return reasonTableFull
	}
	e := c.entryFor(object, entryKey{direction: o.direction, peer: o.peerKey, target: targetOf(&o.Flow)}, o.Overflow, now)
	if e.refused != "" {
		return e.refused
	}
	e.add(o, c.cfg.DefaultPrefix, &c.room, now)
	if e.state == idle {
		c.queue.remove(e)
		c.schedule(e, now)
	}
	return ""
}

// objectFor finds or creates the object of a key. It returns nil if there is no room.
func (c *correlator) objectFor(key *objectKey) *involvedObject {
	if o := c.objects.find(key); o != nil {
		return o
	}
	if !c.roomForObject(key.eventNamespace()) {
		return nil
	}
	o := newInvolvedObject(*key, c.cfg)
	c.objects.add(o)
	return o
}

// entryFor finds or creates the entry of a key. It returns the aggregate if the flow stands
// for many, or if there is no room for another entry.
func (c *correlator) entryFor(o *involvedObject, key entryKey, many bool, now time.Time) *eventEntry {
	if !many {
		if e := o.entries[key]; e != nil {
			return e
		}
		if o.mayCreate(&key.peer, c.cfg.ObjectsPerPod, now) && c.roomForEntry(o) {
			o.created = append(o.created, now)
			return c.newEntry(o, key, now)
		}
	}
	key = entryKey{direction: key.direction, aggregate: true}
	if e := o.entries[key]; e != nil {
		return e
	}
	return c.newEntry(o, key, now)
}

func (c *correlator) newEntry(o *involvedObject, key entryKey, now time.Time) *eventEntry {
	c.created++
	e := &eventEntry{
		object: o, key: key,
		name:   objectName(c.cfg.NodeName, c.cfg.Component, &o.key, &key),
		writer: fmt.Sprintf("%s-%d", c.run, c.created),
	}
	if key.aggregate {
		e.aggregate = newAggregate()
	}
	c.objects.attach(e)
	c.queue.makeIdle(e, now)
	return e
}

// schedule queues an entry by what it has to write.
func (c *correlator) schedule(e *eventEntry, now time.Time) {
	if e.pending() == 0 {
		c.queue.makeIdle(e, now)
		return
	}
	due := dueAt(e.lastWrite, e.lastAdd, e.interval)
	if e.interval == firstInterval {
		due = due.Add(jitter(e.name))
	}
	if c.draining || !due.After(now) {
		c.queue.makeReady(e)
		return
	}
	c.queue.setTimer(e, due)
}

// forgetIdle forgets the entry that has been idle for the longest time. It returns false if
// no entry is idle. The event is adopted when the flow comes again.
func (c *correlator) forgetIdle() bool {
	e := c.queue.longestIdle()
	if e == nil {
		return false
	}
	c.forget(e)
	return true
}

// giveUp counts an entry's packets as unwritten and forgets it. An entry in flight stays
// until its response decides.
func (c *correlator) giveUp(e *eventEntry, reason string) {
	if e.state == inFlight {
		return
	}
	c.counters.unwritten(reason, e.pending())
	c.forget(e)
}

// forget removes an entry. With its last entry the object goes too.
func (c *correlator) forget(e *eventEntry) {
	c.queue.remove(e)
	c.objects.detach(e)
	if e.aggregate != nil {
		e.aggregate.release(&c.room)
	}
}
