package resolve

import (
	"net/netip"
	"sync"
)

// maxPodRanges bounds the learned prefixes.
const maxPodRanges = 256

// podRanges knows from which ranges pods get their addresses if the Nodes do not say so: it
// learns from the pods that it sees. It may be used concurrently.
type podRanges struct {
	bits4, bits6 int                   // prefix lengths that count as near
	gives        func(netip.Addr) bool // reports whether a Node gives the address to pods
	other        []netip.Prefix        // local ranges, in addition to the private ones

	mu sync.RWMutex // guards seen
	// seen has the address of a pod for each prefix, if possible one that no Node gives to
	// pods.
	seen map[netip.Prefix]netip.Addr
}

// newPodRanges returns ranges for a scope. The addresses of all pods of a cluster are near each
// other in a wide sense; those of one node are nearer.
func newPodRanges(scope Scope, gives func(netip.Addr) bool) *podRanges {
	p := &podRanges{bits4: 16, bits6: 56, gives: gives, seen: map[netip.Prefix]netip.Addr{}}
	if scope == NodeScope {
		p.bits4, p.bits6 = 24, 64
	}
	p.other = []netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT
		netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
		netip.MustParsePrefix("240.0.0.0/4"),   // reserved
	}
	return p
}

// local reports whether the Internet does not route addr.
func (p *podRanges) local(addr netip.Addr) bool {
	if addr.IsPrivate() {
		return true
	}
	for _, prefix := range p.other {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// learn records a pod's address.
func (p *podRanges) learn(addr netip.Addr) {
	if p.has(addr) {
		return
	}
	given := p.gives(addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	prefix := p.of(addr)
	if _, known := p.seen[prefix]; known && given || !known && len(p.seen) >= maxPodRanges {
		return
	}
	p.seen[prefix] = addr
}

// has reports whether a pod had an address near addr that no Node gives to pods. For
// addresses that Nodes give, the Nodes' ranges are exact.
func (p *podRanges) has(addr netip.Addr) bool {
	p.mu.RLock()
	seen, ok := p.seen[p.of(addr)]
	p.mu.RUnlock()
	return ok && !p.gives(seen)
}

// learns reports whether an unknown range may still be learned: at first nothing is known,
// and not all if there are too many.
func (p *podRanges) learns() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.seen) == 0 || len(p.seen) >= maxPodRanges
}

func (p *podRanges) of(addr netip.Addr) netip.Prefix {
	bits := p.bits6
	if addr.Is4() {
		bits = p.bits4
	}
	return netip.PrefixFrom(addr.WithZone(""), bits).Masked()
}
