package event

import "container/list"

// forbiddenShare is the part of MaxPods and of MaxRecords, one in so many, that
// one namespace may fill while the API server forbids events there.
const forbiddenShare = 8

// namespaceUse is what one namespace holds of the ledger.
type namespaceUse struct {
	subjects list.List // *subject, the one that had no packet for longest first
	records  int       // besides roll-ups
}

// use returns what a namespace holds, nil for nothing.
func (l *ledger) use(namespace string) *namespaceUse { return l.uses[namespace] }

// enter takes up a new subject; leave lets it go.
func (l *ledger) enter(s *subject) {
	l.subjects[s.key] = s
	namespace := s.key.eventNamespace()
	u := l.uses[namespace]
	if u == nil {
		u = &namespaceUse{}
		l.uses[namespace] = u
	}
	s.use = u
	s.usedAt = u.subjects.PushBack(s)
}

func (l *ledger) leave(s *subject) {
	delete(l.subjects, s.key)
	s.use.subjects.Remove(s.usedAt)
	if s.use.subjects.Len() == 0 {
		delete(l.uses, s.key.eventNamespace())
	}
}

// forbidden reports whether the API server's last word on a namespace was that
// events are forbidden there.
func (l *ledger) forbidden(namespace string) bool {
	h, ok := l.holds[namespace]
	return ok && !h.gone
}

// roomForSubject makes room for one more subject, if it can. In this order it
// lets go of records with nothing to write, whose objects are adopted when
// their flows come again; of pods in forbidden namespaces; of a pod in the
// namespace that holds most, if that is more than the newcomer's holds. A
// forbidden namespace at its share makes room among its own.
func (l *ledger) roomForSubject(namespace string) bool {
	own := l.use(namespace)
	if own != nil && l.forbidden(namespace) && own.subjects.Len() >= max(1, l.cfg.MaxPods/forbiddenShare) {
		return l.evict(own, reasonForbidden)
	}
	for len(l.subjects) >= l.cfg.MaxPods {
		if l.forgetOne() || l.evictForbidden() {
			continue
		}
		most := l.mostSubjects()
		if own != nil && most.subjects.Len() <= own.subjects.Len() {
			return false
		}
		if !l.evict(most, reasonTableFull) {
			return false
		}
	}
	return true
}

// roomForRecord makes room for one more record, if it can; never at the cost
// of the subject that asks, which would go with its last record.
func (l *ledger) roomForRecord(s *subject) bool {
	if l.forbidden(s.key.eventNamespace()) && s.use.records >= max(1, l.cfg.MaxRecords/forbiddenShare) {
		return false
	}
	for l.records >= l.cfg.MaxRecords {
		front := l.resting.Front()
		switch {
		case front != nil && (front.Value.(*record).subject != s || len(s.records) > 1):
			l.forgetOne()
		case l.forbidden(s.key.eventNamespace()) || !l.evictForbidden():
			return false
		}
	}
	return true
}

// evictForbidden gives up the pods of forbidden namespaces that had no packet
// for longest: one with something to give up. It reports whether there was one.
func (l *ledger) evictForbidden() bool {
	for namespace := range l.holds {
		if u := l.use(namespace); u != nil && l.forbidden(namespace) && l.evict(u, reasonForbidden) {
			return true
		}
	}
	return false
}

// evict gives up a namespace's pod that had no packet for longest, of those
// that may go. It reports whether there was one. One with a call under way
// stays. So does one of a namespace that is merely busy, after a failed call:
// the API server may have what is counted as unwritten then.
func (l *ledger) evict(u *namespaceUse, reason string) bool {
	for at := u.subjects.Front(); at != nil; at = at.Next() {
		s := at.Value.(*subject)
		if s.flying > 0 || (reason == reasonTableFull && s.failing()) {
			continue
		}
		for _, r := range s.records {
			l.giveUp(r, reason)
		}
		return true
	}
	return false
}

// mostSubjects returns what the namespace with most subjects holds. There must
// be one.
func (l *ledger) mostSubjects() *namespaceUse {
	var most *namespaceUse
	for _, u := range l.uses {
		if most == nil || u.subjects.Len() > most.subjects.Len() {
			most = u
		}
	}
	return most
}
