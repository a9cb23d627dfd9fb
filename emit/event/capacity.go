package event

// forbiddenShare is the part of MaxPods and of MaxEntries (1/forbiddenShare) that one
// namespace may fill while the API server forbids events there.
const forbiddenShare = 8

// roomForObject makes room for one more object, if it can. It removes the first of these
// that exists:
//
//  1. an idle entry, whose event is adopted if its flow comes again;
//  2. a pod in a forbidden namespace;
//  3. a pod in the namespace with the most pods, if that has more than the newcomer's.
//
// A forbidden namespace that has reached its share makes room among its own pods.
func (c *correlator) roomForObject(namespace string) bool {
	own := c.objects.share(namespace)
	if own != nil && c.backoffs.forbidden(namespace) && own.objects.Len() >= max(1, c.cfg.MaxPods/forbiddenShare) {
		return c.evict(own, reasonForbidden)
	}
	for len(c.objects.byKey) >= c.cfg.MaxPods {
		if c.forgetIdle() || c.evictForbidden() {
			continue
		}
		largest := c.objects.largestShare()
		if own != nil && largest.objects.Len() <= own.objects.Len() {
			return false
		}
		if !c.evict(largest, reasonTableFull) {
			return false
		}
	}
	return true
}

// roomForEntry makes room for one more entry of an object, if it can. It never removes the
// object's last entry, because the object would go with it.
func (c *correlator) roomForEntry(o *involvedObject) bool {
	forbidden := c.backoffs.forbidden(o.key.eventNamespace())
	if forbidden && o.share.entries >= max(1, c.cfg.MaxEntries/forbiddenShare) {
		return false
	}
	for c.objects.entries >= c.cfg.MaxEntries {
		idle := c.queue.longestIdle()
		switch {
		case idle != nil && (idle.object != o || len(o.entries) > 1):
			c.forget(idle)
		case forbidden || !c.evictForbidden():
			return false
		}
	}
	return true
}

// evictForbidden evicts a pod of a forbidden namespace. It reports whether there was one.
func (c *correlator) evictForbidden() bool {
	for namespace := range c.backoffs {
		share := c.objects.share(namespace)
		if share != nil && c.backoffs.forbidden(namespace) && c.evict(share, reasonForbidden) {
			return true
		}
	}
	return false
}

// evict gives up the pod of a namespace that had no packet for the longest time, among
// those that it may evict. It reports whether there was one. A pod with a request in flight
// stays. In a namespace that is only busy, a pod also stays after a failed request: the API
// server may have written what would be counted as unwritten.
func (c *correlator) evict(share *namespaceShare, reason string) bool {
	for at := share.objects.Front(); at != nil; at = at.Next() {
		o := at.Value.(*involvedObject)
		if o.inFlight > 0 || (reason == reasonTableFull && o.failing()) {
			continue
		}
		for _, e := range o.entries {
			c.giveUp(e, reason)
		}
		return true
	}
	return false
}
