package resolve

import (
	"net/netip"
	"slices"
)

// own makes p the live owner of addr, and reports whether p was not the owner before. A
// report that is not newer than the pod's seen end is old and changes nothing. A pod that
// said once that it has given the address back does not get it again.
func (o *ipHistory) own(addr netip.Addr, p *pod) bool {
	for _, c := range o.more[addr] {
		if c.pod.uid() == p.uid() && (c.possibleUntil == givenBack || c.seen && p.version <= c.pod.version) {
			return false
		}
	}
	o.dropMore(addr, p.uid())
	before := o.live.get(addr)
	if before == nil || before.uid() == p.uid() {
		o.live.set(addr, p)
		return before == nil
	}
	o.addMore(addr, assignment{pod: p, certainUntil: forever, possibleUntil: forever})
	return true
}

func (o *ipHistory) endAll(p *pod, end assignment) {
	for addr := range p.claimed() {
		o.end(addr, p, end)
	}
}

// owner returns the pod with this UID as it was taken in, if it has an assignment on addr that
// has not ended; else nil.
func (o *ipHistory) owner(addr netip.Addr, uid string) *pod {
	if live := o.live.get(addr); live != nil && live.uid() == uid {
		return live
	}
	for _, c := range o.more[addr] {
		if c.possibleUntil == forever && c.pod.uid() == uid {
			return c.pod
		}
	}
	return nil
}

// end ends p's assignment on addr. An assignment that has ended does not change, also if a step of the
// wall clock removed it. The assignment keeps the pod as it was taken in: p may be the last
// state in a deletion, and its start is a time stamp of its node.
func (o *ipHistory) end(addr netip.Addr, p *pod, end assignment) {
	owner, before := o.owner(addr, p.uid()), o.endedAssignment(addr, p.uid())
	switch {
	case owner != nil:
	case before.possibleUntil == givenBack:
		owner, end.certainUntil = before.pod, min(end.certainUntil, before.certainUntil)
	case before.pod != nil || o.gaps.stepped():
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
	if end.possibleUntil+o.keep < o.gaps.told {
		return
	}
	o.addMore(addr, end)
	if end.possibleUntil == givenBack {
		return // the assignment will end once more
	}
	o.ended.push(ended{addr, p.uid(), max(end.possibleUntil, o.gaps.told) + o.keep})
}

// endedAssignment returns the assignment on addr of the pod with this UID, if it has ended.
func (o *ipHistory) endedAssignment(addr netip.Addr, uid string) assignment {
	for _, c := range o.more[addr] {
		if c.possibleUntil != forever && c.pod.uid() == uid {
			return c
		}
	}
	return assignment{}
}

// promote moves a second live owner of addr to the place where a look-up is fastest.
func (o *ipHistory) promote(addr netip.Addr) {
	for _, c := range o.more[addr] {
		if c.possibleUntil == forever {
			o.dropMore(addr, c.pod.uid())
			o.live.set(addr, c.pod)
			return
		}
	}
}

func (o *ipHistory) addMore(addr netip.Addr, c assignment) {
	assignments := o.more[addr]
	if len(assignments) >= maxAssignments {
		o.lost = max(o.lost, min(assignments[0].possibleUntil, o.gaps.told))
		assignments = slices.Delete(assignments, 0, 1)
		o.evicted++
	}
	o.more[addr] = append(assignments, c)
}

// dropMore removes a pod's assignment from more.
func (o *ipHistory) dropMore(addr netip.Addr, uid string) {
	assignments := o.more[addr]
	i := slices.IndexFunc(assignments, func(c assignment) bool { return c.pod.uid() == uid })
	if i < 0 {
		return
	}
	if len(assignments) == 1 {
		delete(o.more, addr)
	} else {
		o.more[addr] = slices.Delete(assignments, i, i+1)
	}
}

// forget drops the ended assignments whose time is over, and the oldest ones beyond the bound.
func (o *ipHistory) forget(now int64) {
	o.pastAnnouncements.forget(now, o.keep)
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

// dropEnded is like dropMore, for an assignment that is not live again and was not.
func (o *ipHistory) dropEnded(e ended) {
	for _, c := range o.more[e.addr] {
		if c.pod.uid() == e.uid && c.possibleUntil != forever && c.possibleUntil+o.keep <= e.forget {
			o.dropMore(e.addr, e.uid)
			return
		}
	}
}

// size returns the number of addresses with a live owner, of remembered ended assignments, and
// of ended assignments that were forgotten too early.
func (o *ipHistory) size() (live, ended int, evicted uint64) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.live.len(), o.ended.len(), o.evicted
}

// same returns the pod that the index holds for p if nothing about it has changed; else p.
// A relist brings a new copy of every pod. Without this there would be two copies of each
// from then on, one in the informer's store and one here.
func (o *ipHistory) same(p *pod) *pod {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for addr := range p.addrs() {
		if known := o.live.get(addr); known != nil && known.version == p.version && known.uid() == p.uid() {
			return known
		}
	}
	return p
}
