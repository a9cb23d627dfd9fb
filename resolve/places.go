package resolve

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// place is what is kept of a Node or a Service: its name and addresses, and
// the prefixes from which a Node gives addresses to pods.
type place struct {
	key      string // "name" of a Node, "namespace/name" of a Service
	addrs    []netip.Addr
	prefixes []netip.Prefix
	version  string
}

// GetObjectMeta gives client-go the key and the version; see pod.GetObjectMeta.
func (p *place) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Name: p.key, ResourceVersion: p.version}
}

func nodePlace(o *corev1.Node) *place {
	p := &place{key: strings.Clone(o.Name), version: strings.Clone(o.ResourceVersion)}
	for _, a := range o.Status.Addresses {
		p.addrs = appendAddr(p.addrs, a.Address) // host names are none
	}
	for _, given := range append([]string{o.Spec.PodCIDR}, o.Spec.PodCIDRs...) {
		prefix, err := netip.ParsePrefix(given)
		if err == nil && !slices.Contains(p.prefixes, prefix.Masked()) {
			p.prefixes = append(p.prefixes, prefix.Masked())
		}
	}
	return p
}

func servicePlace(o *corev1.Service) *place {
	p := &place{key: o.Namespace + "/" + o.Name, version: strings.Clone(o.ResourceVersion)}
	for _, ip := range append([]string{o.Spec.ClusterIP}, o.Spec.ClusterIPs...) {
		p.addrs = appendAddr(p.addrs, ip) // "None" is none
	}
	for _, ip := range o.Spec.ExternalIPs {
		p.addrs = appendAddr(p.addrs, ip)
	}
	for _, ingress := range o.Status.LoadBalancer.Ingress {
		p.addrs = appendAddr(p.addrs, ingress.IP)
	}
	return p
}

// places knows the Nodes or the Services by address. It is fed by one informer
// and asked by any number of goroutines.
type places struct {
	mu       sync.RWMutex // guards everything below
	byAddr   map[netip.Addr][]*place
	prefixes map[netip.Prefix]int // how many places have each
	// bits4 and bits6 are how many prefixes there are of each length.
	bits4, bits6 [129]int
}

func newPlaces() *places {
	return &places{byAddr: map[netip.Addr][]*place{}, prefixes: map[netip.Prefix]int{}}
}

// replace takes in what became of a place; either may be nil.
func (s *places) replace(old, now *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old != nil {
		s.remove(old)
	}
	if now != nil {
		s.add(now)
	}
}

func (s *places) add(p *place) {
	for _, addr := range p.addrs {
		s.byAddr[addr] = append(s.byAddr[addr], p)
	}
	for _, prefix := range p.prefixes {
		if s.prefixes[prefix]++; s.prefixes[prefix] == 1 {
			s.lengths(prefix)[prefix.Bits()]++
		}
	}
}

func (s *places) remove(p *place) {
	for _, addr := range p.addrs {
		left := slices.DeleteFunc(s.byAddr[addr], func(other *place) bool { return other.key == p.key })
		if s.byAddr[addr] = left; len(left) == 0 {
			delete(s.byAddr, addr)
		}
	}
	for _, prefix := range p.prefixes {
		if s.prefixes[prefix]--; s.prefixes[prefix] <= 0 {
			delete(s.prefixes, prefix)
			s.lengths(prefix)[prefix.Bits()]--
		}
	}
}

func (s *places) lengths(p netip.Prefix) *[129]int {
	if p.Addr().Is4() {
		return &s.bits4
	}
	return &s.bits6
}

// find returns how many places have addr, as Services may share a load
// balancer's, and the key of the first.
func (s *places) find(addr netip.Addr) (key string, n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := s.byAddr[addr]
	if len(all) == 0 {
		return "", 0
	}
	return all[0].key, len(all)
}

// gives says whether some Node gives addr, or would, to a pod.
func (s *places) gives(addr netip.Addr) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.prefixes) == 0 {
		return false
	}
	lengths := s.lengths(netip.PrefixFrom(addr, 0))
	for bits := addr.BitLen(); bits >= 0; bits-- {
		if lengths[bits] == 0 {
			continue
		}
		if prefix, err := addr.Prefix(bits); err == nil && s.prefixes[prefix] > 0 {
			return true
		}
	}
	return false
}
