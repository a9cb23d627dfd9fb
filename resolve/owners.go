package resolve

import (
	"math"
	"net/netip"
	"sync"
	"time"
	"unique"
)

// maxClaims bounds the claims remembered of one address beside its live owner.
const maxClaims = 8

// maxEnded bounds the ended claims of all addresses together. It lets some 50
// pods end each second for as long as ended claims are kept by default.
const maxEnded = 16384

// forever is the end of a claim that has not ended.
const forever = math.MaxInt64

// givenBack is the end of a claim whose pod says by Calico's annotation that it
// has given the address back, and is still there. Anybody may have written that,
// so until the pod is gone it may have the address.
const givenBack = forever / 2

// claim is one pod's ownership of one address. It starts at pod.from. Times
// are Unix nanoseconds.
type claim struct {
	pod *pod
	// sure is how long the pod certainly had the address, until how long it
	// may have had it. They differ where the end was not seen.
	sure, until int64
	// seen says that the watch told of the end, or the pod's status.
	seen bool
}

// owners knows which pod had which address when. It is fed by the pod informer
// alone, one call at a time, and asked by any number of goroutines.
//
// Nearly every address has one owner, which is live. Those are in live; what is
// beyond that is in more, and forgotten some time after it ended.
type owners struct {
	skew, keep int64
	node       unique.Handle[string] // this process's node
	// whole says whether every pod that can have the address is watched.
	whole func(netip.Addr) bool
	// calico reports whether a pod of the node may announce addr, before its
	// status has it, by Calico's annotation.
	calico func(node string, addr netip.Addr) bool
	// now is the clock. It is the dearest part of a lookup, so it is read
	// when the answer depends on it.
	now func() int64

	mu    sync.RWMutex // guards everything below
	live  addrMap
	more  map[netip.Addr][]claim
	ended queue[ended]
	// announced are the pods whose annotation alone says that they have the
	// address.
	announced holders[*pod]
	rumours   rumours

	contact contact
	evicted uint64 // ended claims forgotten too early, for maxEnded or maxClaims
	lost    int64  // the latest end of those
}

// ended is a claim to forget at a time.
type ended struct {
	addr   netip.Addr
	uid    string
	forget int64
}

func newOwners(skew, keep time.Duration, node string, whole func(netip.Addr) bool, now func() int64) *owners {
	return &owners{
		skew: int64(skew), keep: int64(keep), node: unique.Make(node), whole: whole, now: now,
		live: newAddrMap(), more: map[netip.Addr][]claim{}, lost: never, contact: newContact(int64(skew), int64(keep)),
		calico: func(string, netip.Addr) bool { return false }, announced: holders[*pod]{}, rumours: newRumours(),
	}
}

// set takes in a new pod, or what became of old. It returns the addresses that
// have a new owner, or one that announces them.
func (o *owners) set(old, p *pod, now int64) []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.forget(now)
	o.contact.took(now)
	if old != nil && old.uid() != p.uid() { // deleted and made again unseen
		o.endAll(old, o.endOf(old, now, true))
		o.retract(old, now, now)
		old = nil
	}
	o.start(old, p, now)
	fresh := o.announce(old, p, now)
	if p.finished != 0 {
		if old != nil {
			o.endAll(old, o.endOf(p, now, false))
		}
		o.endAll(p, o.endOf(p, now, false))
		return nil
	}
	if old != nil {
		for addr := range old.claimed() {
			if !p.holds(addr) {
				o.end(addr, old, o.contact.seenLosing(now))
			}
		}
	}
	if p.returned {
		end := o.contact.seenLosing(now)
		end.until = givenBack
		o.endAll(p, end)
	}
	for addr := range p.addrs() {
		if o.own(addr, p) {
			fresh = append(fresh, addr)
		}
	}
	return fresh
}

// start sets from when p has its addresses.
func (o *owners) start(old, p *pod, now int64) {
	if old != nil && old.addr.IsValid() && sameAddrs(old, p) && o.contact.stepped() {
		p.from, p.ready = old.from, old.ready || p.ready
		return
	}
	p.from = o.contact.start(startOf(old, p, now), now)
}

// remove takes in a pod's deletion. unseen says that it was not watched but
// found out by a list.
func (o *owners) remove(p *pod, now int64, unseen bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.forget(now)
	o.contact.took(now)
	o.retract(p, now, now)
	o.endAll(p, o.endOf(p, now, unseen))
}

// endOf is the end of the claims of a deleted pod.
func (o *owners) endOf(p *pod, now int64, unseen bool) claim {
	switch {
	case p.finished != 0 && !o.contact.stepped():
		end := min(p.finishedAt(), now)
		return claim{sure: end, until: end, seen: true}
	case unseen:
		return o.contact.unseenEnd(now)
	}
	return o.contact.seenEnd(now)
}

// startOf is the start of p's claims, given what was known of the same pod.
func startOf(old, p *pod, now int64) int64 {
	known := old != nil && old.from != 0 && sameAddrs(old, p)
	switch {
	case p.ready && known && old.ready:
		return min(old.from, p.from)
	case p.ready:
		return p.from
	case known && old.ready: // its network is being taken down
		p.ready = true
		return old.from
	case p.from != 0:
		return p.from
	case known:
		return old.from
	case !p.announces && p.addr.IsValid():
		return now
	}
	return 0
}
