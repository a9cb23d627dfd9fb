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
	bits4, bits6 int  // how near is near
	all          bool // learn from local addresses as well

	mu    sync.RWMutex // guards seen
	seen  map[netip.Prefix]struct{}
	other []netip.Prefix // local ones, beside the private ones
}

// newPools makes pools for a scope. All of a cluster's pods have addresses
// that are near in a wide sense, and local ones may be a pod's anyway; those
// of one node are the nearer.
func newPools(scope Scope) *pools {
	p := &pools{bits4: 16, bits6: 56}
	if scope == NodeScope {
		p = &pools{bits4: 24, bits6: 64, all: true}
	}
	p.seen = map[netip.Prefix]struct{}{}
	p.other = []netip.Prefix{
		netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT
		netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
		netip.MustParsePrefix("240.0.0.0/4"),   // reserved
	}
	return p
}

// local says whether addr is none that the Internet routes.
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
	if p.has(addr) || !p.all && p.local(addr) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) < maxPools {
		p.seen[p.of(addr)] = struct{}{}
	}
}

// has says whether a pod had an address near addr.
func (p *pools) has(addr netip.Addr) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.seen[p.of(addr)]
	return ok
}

func (p *pools) of(addr netip.Addr) netip.Prefix {
	bits := p.bits6
	if addr.Is4() {
		bits = p.bits4
	}
	return netip.PrefixFrom(addr.WithZone(""), bits).Masked()
}
