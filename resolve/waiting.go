package resolve

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// lookupAgain is how soon a look-up is repeated if the news that it waits for
	// may come at any moment.
	lookupAgain = 200 * time.Millisecond
	notPodGood  = time.Minute
	maxNotPods  = 8192
)

// negativeCache holds addresses for which look-ups have waited in vain. A host
// beside the cluster may send for ever: with the cache, its flows wait once a
// minute and not every time.
type negativeCache struct {
	mu    sync.Mutex // guards known
	known *memory[struct{}]
}

func newNegativeCache() *negativeCache {
	return &negativeCache{known: newMemory[struct{}](maxNotPods)}
}

func (n *negativeCache) add(addr netip.Addr, now int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known.put(addr, struct{}{}, now+int64(notPodGood))
}

func (n *negativeCache) has(addr netip.Addr, now int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.known.get(addr)
	return ok && now < e.until
}

// waitForPod returns when to look up addr again, of which nothing is known, since
// a pod may have it and the watch has not told yet. It returns 0 if it is not worth
// waiting:
//
//  1. While the watch lags, any address may be a pod's that the Internet does not
//     route. The wait ends with the next proof, or after Config.Hold.
//  2. Else it may be a pod's if it is from the pod network of a Node, or near the
//     address of a known pod. The wait ends after Config.Wait. An address that was
//     waited for in vain a short while ago is not waited for again: the other end of
//     the flow, mostly a pod, needs its event now.
func (r *Resolver) waitForPod(addr netip.Addr, at int64, s span) time.Duration {
	if r.asks(addr) {
		return 0
	}
	likely := r.maybePod(addr)
	if (likely || r.watchesCluster() && r.ranges.local(addr)) && r.history.isStale(at) {
		r.prober.want()
		return min(r.left(s.last, s.now, r.cfg.Hold), lookupAgain)
	}
	if !likely {
		return 0
	}
	left, now := r.left(at, s.now, r.cfg.Wait), r.clock.steady()
	if left <= 0 && at == s.last {
		r.notPods.add(addr, now)
	}
	if left <= 0 || r.notPods.has(addr, now) {
		return 0
	}
	return min(left, lookupAgain)
}

// left returns what is left now of a time that began at at. A time in the future is
// another clock's, and nothing is left of it.
func (r *Resolver) left(at, now int64, of time.Duration) time.Duration {
	if at > now+int64(r.cfg.Skew) {
		return 0
	}
	return min(of, of-time.Duration(now-at))
}

// maybePod reports whether addr is likely to be that of a pod which is not known
// yet.
func (r *Resolver) maybePod(addr netip.Addr) bool {
	switch {
	case len(r.informers) == 0:
		return false
	case r.nodes.gives(addr), r.ranges.has(addr):
		return true
	case r.peers != nil: // nothing tells the ranges of other nodes
		return r.ranges.local(addr)
	case !r.watchesCluster(): // other nodes' pods never become known
		return false
	}
	// As long as nothing is known of the cluster, any address that the Internet
	// does not route may be a pod's.
	return r.ranges.learns() && !r.nodes.haveRanges() && r.ranges.local(addr)
}

// watchesCluster reports whether the pods of all nodes are watched.
func (r *Resolver) watchesCluster() bool {
	return len(r.informers) > 0 && r.cfg.Scope == ClusterScope
}
