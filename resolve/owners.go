package resolve

import (
	"math"
	"net/netip"
	"slices"
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

// claim is one pod's ownership of one address. It starts at pod.from. Times
// are Unix nanoseconds.
type claim struct {
	pod *pod
	// sure is how long the pod certainly had the address, until how long it
	// may have had it. They differ where the end was not seen.
	sure, until int64
}

// owners knows which pod had which address when. It is fed by the pod informer
// alone, one call at a time, and asked by any number of goroutines.
//
// Nearly every address has one owner, which is live. Those are in live, at 32
// bytes each; what is beyond that is in more, and forgotten some time after it
// ended.
type owners struct {
	skew, keep int64
	node       unique.Handle[string] // this process's node

	mu    sync.RWMutex // guards everything below
	live  map[netip.Addr]*pod
	more  map[netip.Addr][]claim
	ended queue[ended]

	// contact is when the API server last told something: what it had to tell
	// by then is known.
	contact int64
	// blind is the last time of which pods may have come and gone unseen: from
	// the last contact to the start of the list that made up for it.
	blind struct{ from, to int64 }

	evicted uint64 // ended claims forgotten too early, for maxEnded or maxClaims
}

// ended is a claim to forget at a time.
type ended struct {
	addr   netip.Addr
	uid    string
	forget int64
}

func newOwners(skew, keep time.Duration, node string) *owners {
	o := &owners{
		skew: int64(skew), keep: int64(keep), node: unique.Make(node),
		live: map[netip.Addr]*pod{}, more: map[netip.Addr][]claim{},
	}
	o.blind.from = math.MinInt64 / 2
	o.blind.to = math.MaxInt64 / 2 // until the first list
	o.contact = o.blind.from
	return o
}

// listing says that a list of all pods is about to be asked for: what happened
// since the last contact will be known by its result only.
func (o *owners) listing(now int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blind.from, o.blind.to = o.contact, now
}

// watching says that a watch goes on where the last one ended: nothing is
// missed.
func (o *owners) watching(now int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.contact = now
}

// set takes in a new pod, or what became of old. It returns the addresses that
// have a new owner.
func (o *owners) set(old, p *pod, now int64) []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.forget(now)
	o.contact = max(o.contact, now)
	if old != nil && old.uid() != p.uid() { // deleted and made again unseen
		o.endAll(old, o.unseenEnd(now))
		old = nil
	}
	p.from = startOf(old, p, now)
	if p.finished != 0 {
		if old != nil {
			o.endAll(old, claim{p, p.finished, p.finished})
		}
		o.endAll(p, claim{p, p.finished, p.finished})
		return nil
	}
	if old != nil {
		for _, addr := range old.addrs {
			if !slices.Contains(p.addrs, addr) {
				o.end(addr, old, o.seenLosing(now))
			}
		}
	}
	var fresh []netip.Addr
	for _, addr := range p.addrs {
		if o.own(addr, p) {
			fresh = append(fresh, addr)
		}
	}
	return fresh
}

// remove takes in a pod's deletion. unseen says that it was not watched but
// found out by a list.
func (o *owners) remove(p *pod, now int64, unseen bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.forget(now)
	o.contact = max(o.contact, now)
	end := claim{p, now, now}
	switch {
	case p.finished != 0:
		end = claim{p, p.finished, p.finished}
	case unseen:
		end = o.unseenEnd(now)
	}
	o.endAll(p, end)
}

// unseenEnd is the end of a claim that ended while nothing was seen.
func (o *owners) unseenEnd(now int64) claim {
	return claim{sure: min(now, o.blind.from), until: now}
}

// seenLosing is the end of a claim whose pod goes on without the address. It
// is not known whether a watch told or a list, so shortly after a list it is
// taken for the list's.
func (o *owners) seenLosing(now int64) claim {
	if now-o.blind.to < int64(30*time.Second) {
		return o.unseenEnd(now)
	}
	return claim{sure: now, until: now}
}

// startOf is the start of p's claims, given what was known of the same pod.
func startOf(old, p *pod, now int64) int64 {
	known := old != nil && old.from != 0 && slices.Equal(old.addrs, p.addrs)
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
	case len(p.addrs) > 0:
		return now
	}
	return 0
}
