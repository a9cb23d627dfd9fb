package resolve

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync"
	"time"
	"unique"
)

// maxAssignments bounds the remembered assignments on one address, without that of its live owner.
const maxAssignments = 8

// maxEnded bounds the ended assignments of all addresses together. With the default time for
// keeping them, it allows for some 50 ended pods a second.
const maxEnded = 16384

// forever is the end of an assignment that has not ended.
const forever = math.MaxInt64

// givenBack is the end of an assignment if the pod says by Calico's annotation that it has given
// the address back, and still exists. Everybody may have written that, so the pod may have
// the address until it is gone.
const givenBack = forever / 2

// assignment is a pod's ownership of an address. It starts at pod.from. Times are Unix
// nanoseconds.
type assignment struct {
	pod *pod
	// certainUntil is the time until which the pod certainly had the address,
	// possibleUntil the time until which it may have had it. They differ if the end was
	// not seen.
	certainUntil, possibleUntil int64
	// seen reports that the watch or the pod's status reported the end.
	seen bool
}

// ipHistory holds which pod had which address at which time. Only the pod informer updates it,
// one call at a time. Any number of goroutines ask it.
//
// Nearly every address has one owner, which is live. These are in live. All other assignments
// are in more, and are forgotten some time after their end.
type ipHistory struct {
	skew, keep int64
	node       unique.Handle[string] // this process's node
	// whole reports whether every pod that can have the address is watched.
	whole func(netip.Addr) bool
	// calico reports whether a pod of the node may announce addr by Calico's annotation,
	// before its status has it.
	calico func(node string, addr netip.Addr) bool
	// now is the clock. Reading it is the most expensive part of a look-up, so it is read
	// only if the answer depends on it.
	now func() int64

	mu    sync.RWMutex // guards everything below
	live  addrMap
	more  map[netip.Addr][]assignment
	ended queue[ended]
	// announced holds the pods that have the address only by their annotation.
	announced         holders[*pod]
	pastAnnouncements pastAnnouncements

	gaps    watchGaps
	evicted uint64 // number of ended assignments that were forgotten too early, because of maxEnded or maxAssignments
	lost    int64  // the latest end of these assignments
}

// ended is an assignment that will be forgotten at a time.
type ended struct {
	addr   netip.Addr
	uid    string
	forget int64
}

func newHistory(skew, keep time.Duration, node string, whole func(netip.Addr) bool, now func() int64) *ipHistory {
	return &ipHistory{
		skew: int64(skew), keep: int64(keep), node: unique.Make(node), whole: whole, now: now,
		live: newAddrMap(), more: map[netip.Addr][]assignment{}, lost: never, gaps: newWatchGaps(int64(skew), int64(keep)),
		calico: func(string, netip.Addr) bool { return false }, announced: holders[*pod]{}, pastAnnouncements: newPastAnnouncements(),
	}
}

// set takes in a new pod, or a new state of old. It returns the addresses that have a new
// owner, or a pod that newly announces them.
func (o *ipHistory) set(old, p *pod, now int64) []netip.Addr {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.forget(now)
	o.gaps.took(now)
	if old != nil && old.uid() != p.uid() { // deleted and created again unseen
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
				o.end(addr, old, o.gaps.seenLosing(now))
			}
		}
	}
	if p.returned {
		end := o.gaps.seenLosing(now)
		end.possibleUntil = givenBack
		o.endAll(p, end)
	}
	for addr := range p.addrs() {
		if o.own(addr, p) {
			fresh = append(fresh, addr)
		}
	}
	return fresh
}

// start sets the time since which p has its addresses.
func (o *ipHistory) start(old, p *pod, now int64) {
	if old != nil && old.addr.IsValid() && sameAddrs(old, p) && o.gaps.stepped() {
		p.from, p.ready = old.from, old.ready || p.ready
		return
	}
	p.from = o.gaps.start(startOf(old, p, now), now)
}

// remove takes in a pod's deletion. unseen reports that a list showed the deletion, not a
// watch.
func (o *ipHistory) remove(p *pod, now int64, unseen bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.forget(now)
	o.gaps.took(now)
	o.retract(p, now, now)
	o.endAll(p, o.endOf(p, now, unseen))
}

// endOf returns the end of the assignments of a deleted pod.
func (o *ipHistory) endOf(p *pod, now int64, unseen bool) assignment {
	switch {
	case p.finished != 0 && !o.gaps.stepped():
		end := min(p.finishedAt(), now)
		return assignment{certainUntil: end, possibleUntil: end, seen: true}
	case unseen:
		return o.gaps.unseenEnd(now)
	}
	return o.gaps.seenEnd(now)
}

// startOf returns the start of p's assignments, from what was known of the same pod before.
func startOf(old, p *pod, now int64) int64 {
	known := old != nil && old.from != 0 && sameAddrs(old, p)
	switch {
	case p.ready && known && old.ready:
		return min(old.from, p.from)
	case p.ready:
		return p.from
	case known && old.ready: // its network is being removed
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

// addrMap maps addresses to pods. It needs half the memory and half the time of a map with
// netip.Addr keys. It ignores zones. The zero value may only be read; see newAddrMap.
type addrMap struct {
	four map[uint32]*pod
	six  map[[16]byte]*pod
}

func newAddrMap() addrMap {
	return addrMap{four: map[uint32]*pod{}, six: map[[16]byte]*pod{}}
}

func four(addr netip.Addr) uint32 {
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:])
}

// get returns the pod of an address, nil if there is none.
func (m *addrMap) get(addr netip.Addr) *pod {
	if addr.Is4() {
		return m.four[four(addr)]
	}
	return m.six[addr.As16()]
}

func (m *addrMap) set(addr netip.Addr, p *pod) {
	if addr.Is4() {
		m.four[four(addr)] = p
		return
	}
	m.six[addr.As16()] = p
}

func (m *addrMap) remove(addr netip.Addr) {
	if addr.Is4() {
		delete(m.four, four(addr))
		return
	}
	delete(m.six, addr.As16())
}

func (m *addrMap) len() int { return len(m.four) + len(m.six) }
