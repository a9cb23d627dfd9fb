package event

import (
	"container/list"
	"fmt"
	"hash/maphash"
	"text/template"
	"time"
)

// ledger holds what is known of every event object and decides what is written
// next. It does no I/O, starts nothing and is told the time; the Emitter
// serialises its methods.
type ledger struct {
	cfg     *Config
	message *template.Template // nil for the built-in sentence
	run     string             // tells this run from others
	account *account

	subjects map[subjectKey]*subject
	uses     map[string]*namespaceUse // by namespace
	records  int                      // besides roll-ups
	timers   timers                   // records that are written later
	active   []*subject               // that have ready records
	resting  list.List                // records with nothing to write, longest at rest first
	flying   int                      // records in flight
	distinct distinct
	holds    map[string]hold // by namespace
	limiter  *adaptiveLimiter
	created  uint64 // records ever, roll-ups too
	turn     uint64
	draining bool
	stirred  bool // something is due earlier than take said last
}

func newLedger(cfg *Config, message *template.Template, run string, a *account) *ledger {
	return &ledger{
		cfg:      cfg,
		message:  message,
		run:      run,
		account:  a,
		subjects: map[subjectKey]*subject{},
		uses:     map[string]*namespaceUse{},
		holds:    map[string]hold{},
		distinct: distinct{seed: maphash.MakeSeed(), peerRoom: maxLedgerPeers, targetRoom: maxLedgerTargets},
		limiter:  newAdaptiveLimiter(cfg.QPS, cfg.Burst),
	}
}

// add counts an observation. It returns the reason why it could not, "" when it
// was accepted.
func (l *ledger) add(o *observation, now time.Time) string {
	if l.gone(o.subject.eventNamespace(), now) {
		return reasonNamespaceGone
	}
	s := l.subject(&o.subject)
	if s == nil {
		return reasonTableFull
	}
	r := l.recordFor(s, recordKey{direction: o.direction, peer: o.peerKey, target: targetOf(&o.Flow)}, o.Overflow, now)
	if r.refused != "" {
		return r.refused
	}
	r.add(o, l.cfg.DefaultPrefix, &l.distinct, now)
	if r.place == atRest {
		l.resting.Remove(r.restsAt)
		l.schedule(r, now)
	}
	return ""
}

// subject finds or creates a subject; nil when there is no room for it.
func (l *ledger) subject(key *subjectKey) *subject {
	if s := l.subjects[*key]; s != nil {
		s.use.subjects.MoveToBack(s.usedAt)
		return s
	}
	if !l.roomForSubject(key.eventNamespace()) {
		return nil
	}
	s := newSubject(*key, l.cfg)
	l.enter(s)
	return s
}

// recordFor finds the record of a key, or creates it, or gives the roll-up that
// stands in for it.
func (l *ledger) recordFor(s *subject, key recordKey, many bool, now time.Time) *record {
	if !many {
		if r := s.records[key]; r != nil {
			return r
		}
		if s.mayCreate(&key.peer, l.cfg.ObjectsPerPod, now) && l.roomForRecord(s) {
			s.created = append(s.created, now)
			s.use.records++
			l.records++
			return l.create(s, key, now)
		}
	}
	key = recordKey{direction: key.direction, rollup: true}
	if r := s.records[key]; r != nil {
		return r
	}
	r := l.create(s, key, now)
	r.rollup = newRollup()
	return r
}

func (l *ledger) create(s *subject, key recordKey, now time.Time) *record {
	l.created++
	r := &record{
		subject: s, key: key,
		name:   objectName(l.cfg.NodeName, l.cfg.Component, &s.key, &key),
		writer: fmt.Sprintf("%s-%d", l.run, l.created),
	}
	s.attach(r)
	l.rest(r, now)
	return r
}

// rest puts a record with nothing to write away.
func (l *ledger) rest(r *record, now time.Time) {
	r.place = atRest
	r.due = now.Add(forgetAfter)
	r.restsAt = l.resting.PushBack(r)
}

// forgetOne forgets the record that is longest at rest; false when there is
// none. Its object is adopted when the flow comes again.
func (l *ledger) forgetOne() bool {
	front := l.resting.Front()
	if front == nil {
		return false
	}
	l.resting.Remove(front)
	l.remove(front.Value.(*record))
	return true
}

// remove takes a record that is in no list out of its subject, and the subject
// out of the ledger with its last record.
func (l *ledger) remove(r *record) {
	s := r.subject
	s.detach(r)
	if r.rollup != nil {
		r.rollup.release(&l.distinct)
	} else {
		s.use.records--
		l.records--
	}
	if len(s.records) == 0 {
		l.leave(s)
	}
}

// schedule puts a record where it belongs by what it has to write.
func (l *ledger) schedule(r *record, now time.Time) {
	if r.pending() == 0 {
		l.rest(r, now)
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

func (l *ledger) setTimer(r *record, due time.Time) {
	r.place = onTimer
	r.due = due
	l.timers.push(r)
	l.stirred = l.stirred || r.timerAt == 0
}

func (l *ledger) makeReady(r *record) {
	s := r.subject
	r.place = ready
	l.stirred = true
	s.pushReady(r)
	if s.readyAt < 0 {
		s.readyAt = len(l.active)
		l.active = append(l.active, s)
	}
}

// dropReady takes a record out of the ready ones.
func (l *ledger) dropReady(r *record) {
	s := r.subject
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
