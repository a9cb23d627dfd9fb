package resolve

import (
	"net/netip"
	"sync"
	"time"
)

const (
	notPodGood = time.Minute
	maxNotPods = 8192
)

// notPods remembers addresses that were waited for in vain, so that the flows
// of a host beside the cluster, which may send for ever, wait once a minute
// and not each.
type notPods struct {
	mu    sync.Mutex // guards known
	known *memory[struct{}]
}

func newNotPods() *notPods { return &notPods{known: newMemory[struct{}](maxNotPods)} }

func (n *notPods) add(addr netip.Addr, now int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known.put(addr, struct{}{}, now+int64(notPodGood))
}

func (n *notPods) has(addr netip.Addr, now int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.known.get(addr)
	return ok && now < e.until
}

// Await calls again once more may be known of addr, which had a packet at the
// time at, and at the latest Config.Wait after at, or Config.Hold while the watch
// of pods is broken or may be. It returns false, and does not call, if there is
// nothing to wait for: the owner is known, or is not going to be; or if there is
// no room, which is counted.
//
// What is worth waiting for is an address that a pod may have without the
// informer knowing yet: one from a Node's pod network, or near those of known
// pods. Another is not, be it a private one, nor is one that was waited for in
// vain a short while ago: the other end of the flow, mostly a pod, wants its
// event now.
//
// Lookup calls such an address Unknown, and not Ambiguous. Between it and Await
// the owner may have become known: if Await returns false, look up again.
//
// again is to look both ends up, and may call Await. Calls come one at a time,
// from Run's goroutines or from Release.
func (r *Resolver) Await(addr netip.Addr, at time.Time, again func()) bool {
	key, wait := r.worthWaiting(addr, at.UnixNano())
	if wait <= 0 || !r.waits.add(key, r.clock.steady()+int64(wait), again) {
		return false
	}
	if key == anyPod() {
		r.prober.want()
	}
	return true
}

// Release calls all that Await holds, and makes Await hold nothing from then
// on. It is for the end, with Run still going or not.
func (r *Resolver) Release() { r.waits.release() }

// worthWaiting returns for news of which address to wait for addr's owner at
// the time at, and for how long; 0 for not.
func (r *Resolver) worthWaiting(addr netip.Addr, at int64) (key netip.Addr, wait time.Duration) {
	if !addr.IsValid() || addr.IsUnspecified() || !r.Synced() {
		return addr, 0
	}
	now := r.now()
	if _, verdict := r.owners.find(addr, at); verdict != nobody {
		return r.waitFor(verdict, addr, at, now)
	}
	if r.isPlace(addr) {
		return addr, 0
	}
	if _, verdict := r.owners.announcing(addr, at); verdict != nobody {
		return r.waitFor(verdict, addr, at, now)
	}
	if !r.maybePod(addr) {
		return addr, 0
	}
	left := r.left(at, now, r.cfg.Wait)
	if r.asks(addr) {
		_, verdict, retry := r.peer(addr, at)
		if verdict != unsettled {
			return addr, 0
		}
		return addr, min(retry, left)
	}
	if r.mayYetBePod(addr, at, now) {
		return addr, left
	}
	if left <= 0 {
		r.notPods.add(addr, r.clock.steady())
	}
	return addr, 0
}

// waitFor is worthWaiting for an address that pods may have had, by the verdict on
// who had it.
func (r *Resolver) waitFor(v verdict, addr netip.Addr, at, now int64) (key netip.Addr, wait time.Duration) {
	switch v {
	case unsettled:
		return addr, r.left(at, now, r.cfg.Skew)
	case stale:
		return anyPod(), r.left(at, now, r.cfg.Hold)
	}
	return addr, 0
}

// left is what is left now of a time that began at at. A time in the future is
// another clock's, and nothing is left of it.
func (r *Resolver) left(at, now int64, of time.Duration) time.Duration {
	if at > now+int64(r.cfg.Skew) {
		return 0
	}
	return min(of, of-time.Duration(now-at))
}

// mayYetBePod reports whether addr, of which nothing is known, may be a pod's
// that the watch will tell of within the time that a flow is held.
func (r *Resolver) mayYetBePod(addr netip.Addr, at, now int64) bool {
	if !r.maybePod(addr) || r.asks(addr) {
		return false
	}
	return r.left(at, now, r.cfg.Wait) > 0 && !r.notPods.has(addr, r.clock.steady())
}

// maybePod reports whether addr can be a pod's that is not known yet.
func (r *Resolver) maybePod(addr netip.Addr) bool {
	switch {
	case len(r.feeds) == 0:
		return false
	case r.nodes.gives(addr), r.pools.has(addr):
		return true
	case r.peers != nil: // of other nodes' ranges nothing is heard
		return r.pools.local(addr)
	case r.cfg.Scope == NodeScope: // nor of their pods
		return false
	}
	// Of a cluster of which nothing is known, any address that the Internet does
	// not route may be a pod's.
	return r.pools.learns() && !r.nodes.haveRanges() && r.pools.local(addr)
}

// isPlace says whether addr is a Node's or a Service's.
func (r *Resolver) isPlace(addr netip.Addr) bool {
	if _, n := r.nodes.find(addr); n > 0 {
		return true
	}
	_, n := r.services.find(addr)
	return n > 0
}
