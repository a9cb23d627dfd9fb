package resolve

import (
	"net/netip"
	"slices"
)

// own makes p the live owner of addr, and reports whether p was not the owner before. A
// report that is not newer than the pod's seen end is old and changes nothing. A pod that
// said once that it has given the address back does not get it again.
func (o *owners) own(addr netip.Addr, p *pod) bool {
	for _, c := range o.more[addr] {
		if c.pod.uid() == p.uid() && (c.until == givenBack || c.seen && p.version <= c.pod.version) {
			return false
		}
	}
	o.dropMore(addr, p.uid())
	before := o.live.get(addr)
	if before == nil || before.uid() == p.uid() {
		o.live.set(addr, p)
		return before == nil
	}
	o.addMore(addr, claim{pod: p, sure: forever, until: forever})
	return true
}

func (o *owners) endAll(p *pod, end claim) {
	for addr := range p.claimed() {
		o.end(addr, p, end)
	}
}

// owner returns the pod with this UID as it was taken in, if it has a claim on addr that
// has not ended; else nil.
func (o *owners) owner(addr netip.Addr, uid string) *pod {
	if live := o.live.get(addr); live != nil && live.uid() == uid {
		return live
	}
	for _, c := range o.more[addr] {
		if c.until == forever && c.pod.uid() == uid {
			return c.pod
		}
	}
	return nil
}

// end ends p's claim on addr. A claim that has ended does not change, also if a step of the
// wall clock removed it. The claim keeps the pod as it was taken in: p may be the last
// state in a deletion, and its start is a time stamp of its node.
func (o *owners) end(addr netip.Addr, p *pod, end claim) {
	owner, before := o.owner(addr, p.uid()), o.endedClaim(addr, p.uid())
	switch {
	case owner != nil:
	case before.until == givenBack:
		owner, end.sure = before.pod, min(end.sure, before.sure)
	case before.pod != nil || o.contact.stepped():
		return
	default:
		owner = p
	}
	if owner == o.live.get(addr) {
		o.live.remove(addr)
		o.promote(addr)
	}
	end.pod = owner
	o.dropMore(addr, p.uid())
	if end.until+o.keep < o.contact.told {
		return
	}
	o.addMore(addr, end)
	if end.until == givenBack {
		return // the claim will end once more
	}
	o.ended.push(ended{addr, p.uid(), max(end.until, o.contact.told) + o.keep})
}

// endedClaim returns the claim on addr of the pod with this UID, if it has ended.
func (o *owners) endedClaim(addr netip.Addr, uid string) claim {
	for _, c := range o.more[addr] {
		if c.until != forever && c.pod.uid() == uid {
			return c
		}
	}
	return claim{}
}

// promote moves a second live owner of addr to the place where a look-up is fastest.
func (o *owners) promote(addr netip.Addr) {
	for _, c := range o.more[addr] {
		if c.until == forever {
			o.dropMore(addr, c.pod.uid())
			o.live.set(addr, c.pod)
			return
		}
	}
}

func (o *owners) addMore(addr netip.Addr, c claim) {
	claims := o.more[addr]
	if len(claims) >= maxClaims {
		o.lost = max(o.lost, min(claims[0].until, o.contact.told))
		claims = slices.Delete(claims, 0, 1)
		o.evicted++
	}
	o.more[addr] = append(claims, c)
}

// dropMore removes a pod's claim from more.
func (o *owners) dropMore(addr netip.Addr, uid string) {
	claims := o.more[addr]
	i := slices.IndexFunc(claims, func(c claim) bool { return c.pod.uid() == uid })
	if i < 0 {
		return
	}
	if len(claims) == 1 {
		delete(o.more, addr)
	} else {
		o.more[addr] = slices.Delete(claims, i, i+1)
	}
}

// forget drops the ended claims whose time is over, and the oldest ones beyond the bound.
func (o *owners) forget(now int64) {
	o.rumours.forget(now, o.keep)
	for o.ended.len() > 0 {
		first := o.ended.first()
		if first.forget > now && o.ended.len() <= maxEnded {
			return
		}
		if first.forget > now {
			o.evicted++
			o.lost = max(o.lost, first.forget-o.keep)
		}
		o.ended.pop()
		o.dropEnded(first)
	}
}

// dropEnded is like dropMore, for a claim that is not live again and was not.
func (o *owners) dropEnded(e ended) {
	for _, c := range o.more[e.addr] {
		if c.pod.uid() == e.uid && c.until != forever && c.until+o.keep <= e.forget {
			o.dropMore(e.addr, e.uid)
			return
		}
	}
}

// size returns the number of addresses with a live owner, of remembered ended claims, and
// of ended claims that were forgotten too early.
func (o *owners) size() (live, ended int, evicted uint64) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.live.len(), o.ended.len(), o.evicted
}

// same returns the pod that the index holds for p if nothing about it has changed; else p.
// A relist brings a new copy of every pod. Without this there would be two copies of each
// from then on, one in the informer's store and one here.
func (o *owners) same(p *pod) *pod {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for addr := range p.addrs() {
		if known := o.live.get(addr); known != nil && known.version == p.version && known.uid() == p.uid() {
			return known
		}
	}
	return p
}
