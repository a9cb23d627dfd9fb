package resolve

import (
	"net/netip"
	"sync"
)

// maxPools bounds the learnt prefixes.
const maxPools = 256

// pools knows from which addresses pods get theirs, where the Nodes do not say
// so: it learns from the pods it sees. It may be used concurrently.
type pools struct {
	bits4, bits6 int                   // how near is near
	gives        func(netip.Addr) bool // reports whether a Node gives the address to pods
	other        []netip.Prefix        // local ones, beside the private ones

	mu sync.RWMutex // guards seen
	// seen has for each prefix the address of a pod, if possible one that no
	// Node gives.
	seen map[netip.Prefix]netip.Addr
}

// newPools makes pools for a scope. All of a cluster's pods have addresses that
// are near in a wide sense; those of one node are nearer.
func newPools(scope Scope, gives func(netip.Addr) bool) *pools {
	p := &pools{bits4: 16, bits6: 56, gives: gives, seen: map[netip.Prefix]netip.Addr{}}
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

// local reports whether addr is none that the Internet routes.
func (p *pools) local(addr netip.Addr) bool {
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

// learn takes note of a pod's address.
func (p *pools) learn(addr netip.Addr) {
	if p.has(addr) {
		return
	}
	given := p.gives(addr)
	p.mu.Lock()
	defer p.mu.Unlock()
	prefix := p.of(addr)
	if _, known := p.seen[prefix]; known && given || !known && len(p.seen) >= maxPools {
		return
	}
	p.seen[prefix] = addr
}

// has reports whether a pod that has its address from no Node's range had one
// near addr. Of Nodes' ranges the Nodes tell exactly.
func (p *pools) has(addr netip.Addr) bool {
	p.mu.RLock()
	seen, ok := p.seen[p.of(addr)]
	p.mu.RUnlock()
	return ok && !p.gives(seen)
}

// learns reports whether what is not learnt may be learnt yet: nothing is known
// at first, and not all if there is too much.
func (p *pools) learns() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.seen) == 0 || len(p.seen) >= maxPools
}

func (p *pools) of(addr netip.Addr) netip.Prefix {
	bits := p.bits6
	if addr.Is4() {
		bits = p.bits4
	}
	return netip.PrefixFrom(addr.WithZone(""), bits).Masked()
}
