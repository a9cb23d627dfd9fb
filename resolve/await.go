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
// time at, and at the latest Config.Wait after at. It returns false, and does
// not call, if there is nothing to wait for: the owner is known, or is not
// going to be; or if there is no room, which is counted.
//
// What is worth waiting for is an address that a pod may have without the
// informer knowing yet: one from a Node's pod network, or near those of known
// pods, or one that the Internet does not route. An address of the Internet is
// not, nor is one that was waited for in vain a short while ago: the other end
// of the flow, mostly a pod, wants its event now.
//
// Lookup calls such an address Unknown, and not Ambiguous. Between it and Await
// the owner may have become known: if Await returns false, look up again.
//
// again is to look both ends up, and may call Await. Calls come one at a time,
// from Run's goroutines or from Release.
func (r *Resolver) Await(addr netip.Addr, at time.Time, again func()) bool {
	until := r.worthWaiting(addr, at.UnixNano())
	return until != 0 && r.waits.add(addr, until, again)
}

// Release calls all that Await holds, and makes Await hold nothing from then
// on. It is for the end, with Run still going or not.
func (r *Resolver) Release() { r.waits.release() }

// worthWaiting returns until when to wait for addr's owner at the time at; 0
// for not.
func (r *Resolver) worthWaiting(addr netip.Addr, at int64) int64 {
	now := r.now()
	end := at + int64(r.cfg.Wait)
	if !addr.IsValid() || addr.IsUnspecified() || !r.Synced() {
		return 0
	}
	switch _, verdict := r.owners.find(addr, at); verdict {
	case owned, contested:
		return 0
	case unsettled:
		return at + int64(r.cfg.Skew)
	}
	if r.isPlace(addr) {
		return 0
	}
	switch _, verdict := r.owners.announcing(addr, at); verdict {
	case owned:
		return 0
	case unsettled:
		return at + int64(r.cfg.Skew)
	}
	if !r.maybePod(addr) {
		return 0
	}
	if r.asks(addr) {
		_, verdict, retry := r.peer(addr, at, now)
		if verdict != unsettled || end <= now {
			return 0
		}
		return min(retry, end)
	}
	if r.mayYetBePod(addr, at) {
		return end
	}
	if end <= now {
		r.notPods.add(addr, now)
	}
	return 0
}

// mayYetBePod says whether addr, of which nothing is known, may be a pod's that
// the watch will tell of within the time that a flow is held.
func (r *Resolver) mayYetBePod(addr netip.Addr, at int64) bool {
	if !r.maybePod(addr) || r.asks(addr) {
		return false
	}
	now := r.now()
	return now < at+int64(r.cfg.Wait) && !r.notPods.has(addr, now)
}

// maybePod says whether addr can be a pod's that is not known yet.
func (r *Resolver) maybePod(addr netip.Addr) bool {
	if len(r.feeds) == 0 {
		return false
	}
	if r.nodes.gives(addr) {
		return true
	}
	if r.cfg.Scope == NodeScope && r.peers == nil {
		return r.pools.has(addr) // of other nodes' pods nothing is heard
	}
	return r.pools.local(addr) || r.pools.has(addr)
}

// isPlace says whether addr is a Node's or a Service's.
func (r *Resolver) isPlace(addr netip.Addr) bool {
	if _, n := r.nodes.find(addr); n > 0 {
		return true
	}
	_, n := r.services.find(addr)
	return n > 0
}
