package event

import (
	"container/list"
	"fmt"
	"hash/maphash"
	"text/template"
	"time"
)

// correlator holds what is known of every event object and decides what is written
// next. It does no I/O, starts nothing and is told the time; the Sink
// serialises its methods.
type correlator struct {
	cfg      *Config
	message  *template.Template // nil for the built-in sentence
	run      string             // tells this run from others
	counters *counters

	objects       map[objectKey]*involvedObject
	shares        map[string]*namespaceShare // by namespace
	entries       int                        // besides aggregates
	timers        timers                     // entries that are written later
	active        []*involvedObject          // that have ready entries
	idleEntries   list.List                  // entries with nothing to write, longest at rest first
	outstanding   int                        // entries in flight
	aggregateRoom aggregateRoom
	backoffs      map[string]namespaceBackoff // by namespace
	limiter       *adaptiveLimiter
	created       uint64 // entries ever, aggregates too
	turn          uint64
	draining      bool
	dueEarlier    bool // something is due earlier than take said last
}

func newCorrelator(cfg *Config, message *template.Template, run string, a *counters) *correlator {
	return &correlator{
		cfg:           cfg,
		message:       message,
		run:           run,
		counters:      a,
		objects:       map[objectKey]*involvedObject{},
		shares:        map[string]*namespaceShare{},
		backoffs:      map[string]namespaceBackoff{},
		aggregateRoom: aggregateRoom{seed: maphash.MakeSeed(), peerRoom: maxAllPeers, targetRoom: maxAllTargets},
		limiter:       newAdaptiveLimiter(cfg.QPS, cfg.Burst),
	}
}

// add counts an observation. It returns the reason why it could not, "" when it
// was accepted.
func (l *correlator) add(o *observation, now time.Time) string {
	if l.gone(o.involvedObject.eventNamespace(), now) {
		return reasonNamespaceGone
	}
	s := l.involvedObject(&o.involvedObject)
	if s == nil {
		return reasonTableFull
	}
	r := l.entryFor(s, entryKey{direction: o.direction, peer: o.peerKey, target: targetOf(&o.Flow)}, o.Overflow, now)
	if r.refused != "" {
		return r.refused
	}
	r.add(o, l.cfg.DefaultPrefix, &l.aggregateRoom, now)
	if r.state == idle {
		l.idleEntries.Remove(r.idleAt)
		l.schedule(r, now)
	}
	return ""
}

// object finds or creates an object; nil when there is no room for it.
func (l *correlator) involvedObject(key *objectKey) *involvedObject {
	if s := l.objects[*key]; s != nil {
		s.use.objects.MoveToBack(s.shareAt)
		return s
	}
	if !l.roomForObject(key.eventNamespace()) {
		return nil
	}
	s := newInvolvedObject(*key, l.cfg)
	l.enter(s)
	return s
}

// entryFor finds the entry of a key, or creates it, or gives the aggregate that
// stands in for it.
func (l *correlator) entryFor(s *involvedObject, key entryKey, many bool, now time.Time) *eventEntry {
	if !many {
		if r := s.entries[key]; r != nil {
			return r
		}
		if s.mayCreate(&key.peer, l.cfg.ObjectsPerPod, now) && l.roomForEntry(s) {
			s.created = append(s.created, now)
			s.use.entries++
			l.entries++
			return l.create(s, key, now)
		}
	}
	key = entryKey{direction: key.direction, aggregate: true}
	if r := s.entries[key]; r != nil {
		return r
	}
	r := l.create(s, key, now)
	r.aggregate = newAggregate()
	return r
}

func (l *correlator) create(s *involvedObject, key entryKey, now time.Time) *eventEntry {
	l.created++
	r := &eventEntry{
		involvedObject: s, key: key,
		name:   objectName(l.cfg.NodeName, l.cfg.Component, &s.key, &key),
		writer: fmt.Sprintf("%s-%d", l.run, l.created),
	}
	s.attach(r)
	l.makeIdle(r, now)
	return r
}

// rest puts an entry with nothing to write away.
func (l *correlator) makeIdle(r *eventEntry, now time.Time) {
	r.state = idle
	r.due = now.Add(forgetAfter)
	r.idleAt = l.idleEntries.PushBack(r)
}

// forgetOne forgets the entry that is longest at rest; false when there is
// none. Its object is adopted when the flow comes again.
func (l *correlator) forgetOne() bool {
	front := l.idleEntries.Front()
	if front == nil {
		return false
	}
	l.idleEntries.Remove(front)
	l.remove(front.Value.(*eventEntry))
	return true
}

// remove takes an entry that is in no list out of its object, and the object
// out of the correlator with its last entry.
func (l *correlator) remove(r *eventEntry) {
	s := r.involvedObject
	s.detach(r)
	if r.aggregate != nil {
		r.aggregate.release(&l.aggregateRoom)
	} else {
		s.use.entries--
		l.entries--
	}
	if len(s.entries) == 0 {
		l.leave(s)
	}
}

// schedule puts an entry where it belongs by what it has to write.
func (l *correlator) schedule(r *eventEntry, now time.Time) {
	if r.pending() == 0 {
		l.makeIdle(r, now)
		return
	}
	due := dueAt(r.lastWrite, r.lastAdd, r.interval)
	if r.interval == firstInterval {
		due = due.Add(lateness(r.name))
	}
	if l.draining || !due.After(now) {
		l.makeReady(r)
		return
	}
	l.setTimer(r, due)
}

func (l *correlator) setTimer(r *eventEntry, due time.Time) {
	r.state = scheduled
	r.due = due
	l.timers.push(r)
	l.dueEarlier = l.dueEarlier || r.timerAt == 0
}

func (l *correlator) makeReady(r *eventEntry) {
	s := r.involvedObject
	r.state = ready
	l.dueEarlier = true
	s.pushReady(r)
	if s.readyAt < 0 {
		s.readyAt = len(l.active)
		l.active = append(l.active, s)
	}
}

// dropReady takes an entry out of the ready ones.
func (l *correlator) dropReady(r *eventEntry) {
	s := r.involvedObject
	s.dropReady(r)
	if len(s.ready) > 0 {
		return
	}
	last := len(l.active) - 1
	l.active[s.readyAt] = l.active[last]
	l.active[s.readyAt].readyAt = s.readyAt
	l.active[last] = nil
	l.active = l.active[:last]
	s.readyAt = -1
}
