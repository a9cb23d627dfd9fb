package event

import "container/list"

// forbiddenShare is the part of MaxPods and of MaxEntries, one in so many, that
// one namespace may fill while the API server forbids events there.
const forbiddenShare = 8

// namespaceShare is what one namespace holds of the correlator.
type namespaceShare struct {
	objects list.List // *object, the one that had no packet for longest first
	entries int       // besides aggregates
}

// use returns what a namespace holds, nil for nothing.
func (l *correlator) use(namespace string) *namespaceShare { return l.shares[namespace] }

// enter takes up a new object; leave lets it go.
func (l *correlator) enter(s *involvedObject) {
	l.objects[s.key] = s
	namespace := s.key.eventNamespace()
	u := l.shares[namespace]
	if u == nil {
		u = &namespaceShare{}
		l.shares[namespace] = u
	}
	s.use = u
	s.shareAt = u.objects.PushBack(s)
}

func (l *correlator) leave(s *involvedObject) {
	delete(l.objects, s.key)
	s.use.objects.Remove(s.shareAt)
	if s.use.objects.Len() == 0 {
		delete(l.shares, s.key.eventNamespace())
	}
}

// forbidden reports whether the API server's last word on a namespace was that
// events are forbidden there.
func (l *correlator) forbidden(namespace string) bool {
	h, ok := l.backoffs[namespace]
	return ok && !h.gone
}

// roomForObject makes room for one more object, if it can. In this order it
// lets go of entries with nothing to write, whose objects are adopted when
// their flows come again; of pods in forbidden namespaces; of a pod in the
// namespace that holds most, if that is more than the newcomer's holds. A
// forbidden namespace at its share makes room among its own.
func (l *correlator) roomForObject(namespace string) bool {
	own := l.use(namespace)
	if own != nil && l.forbidden(namespace) && own.objects.Len() >= max(1, l.cfg.MaxPods/forbiddenShare) {
		return l.evict(own, reasonForbidden)
	}
	for len(l.objects) >= l.cfg.MaxPods {
		if l.forgetOne() || l.evictForbidden() {
			continue
		}
		most := l.mostObjects()
		if own != nil && most.objects.Len() <= own.objects.Len() {
			return false
		}
		if !l.evict(most, reasonTableFull) {
			return false
		}
	}
	return true
}

// roomForEntry makes room for one more entry, if it can; never at the cost
// of the object that asks, which would go with its last entry.
func (l *correlator) roomForEntry(s *involvedObject) bool {
	if l.forbidden(s.key.eventNamespace()) && s.use.entries >= max(1, l.cfg.MaxEntries/forbiddenShare) {
		return false
	}
	for l.entries >= l.cfg.MaxEntries {
		front := l.idleEntries.Front()
		switch {
		case front != nil && (front.Value.(*eventEntry).involvedObject != s || len(s.entries) > 1):
			l.forgetOne()
		case l.forbidden(s.key.eventNamespace()) || !l.evictForbidden():
			return false
		}
	}
	return true
}

// evictForbidden gives up the pods of forbidden namespaces that had no packet
// for longest: one with something to give up. It reports whether there was one.
func (l *correlator) evictForbidden() bool {
	for namespace := range l.backoffs {
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
func (l *correlator) evict(u *namespaceShare, reason string) bool {
	for at := u.objects.Front(); at != nil; at = at.Next() {
		s := at.Value.(*involvedObject)
		if s.outstanding > 0 || (reason == reasonTableFull && s.failing()) {
			continue
		}
		for _, r := range s.entries {
			l.giveUp(r, reason)
		}
		return true
	}
	return false
}

// mostObjects returns what the namespace with most objects holds. There must
// be one.
func (l *correlator) mostObjects() *namespaceShare {
	var most *namespaceShare
	for _, u := range l.shares {
		if most == nil || u.objects.Len() > most.objects.Len() {
			most = u
		}
	}
	return most
}
