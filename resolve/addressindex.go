package resolve

import (
	"net/netip"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations that calico-node writes on its Node. Tenants cannot write them.
const (
	annotationCalicoNode  = "projectcalico.org/IPv4Address"
	annotationCalicoNode6 = "projectcalico.org/IPv6Address"
)

const calicoTunnelAddrs = 5

// calicoTunnels returns more annotations that calico-node writes on its Node. Their
// addresses come from the range of its pods, but belong to the node itself.
func calicoTunnels() [calicoTunnelAddrs]string {
	return [...]string{
		"projectcalico.org/IPv4IPIPTunnelAddr",
		"projectcalico.org/IPv4VXLANTunnelAddr", "projectcalico.org/IPv6VXLANTunnelAddr",
		"projectcalico.org/IPv4WireguardInterfaceAddr", "projectcalico.org/IPv6WireguardInterfaceAddr",
	}
}

// indexEntry holds what is kept of a Node or a Service: its name, its addresses, and the
// prefixes from which a Node gives addresses to pods.
type indexEntry struct {
	name     string // "name" of a Node, "namespace/name" of a Service
	addrs    []netip.Addr
	ingress  []netip.Addr // addresses of a Service's load balancer
	prefixes []netip.Prefix
	version  string
	calico   bool // Calico runs on this Node
	cuts     cuts
}

func (p *indexEntry) key() string { return p.name }

func (p *indexEntry) cutLists() cuts { return p.cuts }

// GetObjectMeta gives client-go the key and the version; see pod.GetObjectMeta.
func (p *indexEntry) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Name: p.name, ResourceVersion: p.version}
}

func nodeEntry(o *corev1.Node) *indexEntry {
	p := &indexEntry{name: strings.Clone(o.Name), version: strings.Clone(o.ResourceVersion)}
	for _, a := range first(o.Status.Addresses, maxNodeAddrs, &p.cuts, cutAddrs) {
		p.addrs = appendAddr(p.addrs, a.Address) // host names are no addresses
	}
	_, four := o.Annotations[annotationCalicoNode]
	_, six := o.Annotations[annotationCalicoNode6]
	p.calico = four || six
	for _, tunnel := range calicoTunnels() {
		p.addrs = appendAddr(p.addrs, o.Annotations[tunnel])
	}
	for _, given := range append([]string{o.Spec.PodCIDR}, first(o.Spec.PodCIDRs, maxPodCIDRs, &p.cuts, cutPodCIDRs)...) {
		p.prefixes = appendPrefix(p.prefixes, given)
	}
	return p
}

// serviceEntry keeps the addresses that the cluster gave to the Service. It does not keep
// externalIPs, because everybody who may create a Service can write anything there.
func serviceEntry(o *corev1.Service) *indexEntry {
	p := &indexEntry{name: o.Namespace + "/" + o.Name, version: strings.Clone(o.ResourceVersion)}
	p.addrs = appendAddr(p.addrs, o.Spec.ClusterIP) // "None" is no address
	for _, ip := range first(o.Spec.ClusterIPs, maxAddrs, &p.cuts, cutAddrs) {
		p.addrs = appendAddr(p.addrs, ip)
	}
	for _, ingress := range first(o.Status.LoadBalancer.Ingress, maxIngress, &p.cuts, cutIngress) {
		p.ingress = appendAddr(p.ingress, ingress.IP)
	}
	return p
}

// addressIndex maps addresses to Nodes or to Services. One informer updates it, and any number of
// goroutines ask it.
type addressIndex struct {
	mu     sync.RWMutex // guards everything below
	byAddr holders[*indexEntry]
	// byIngress is asked last, because some load balancers announce the address that the
	// Service's author wants.
	byIngress holders[*indexEntry]
	prefixes  map[netip.Prefix]int // number of Nodes with each prefix
	// bits4 and bits6 are the numbers of prefixes of each length.
	bits4, bits6 [129]int
	calico       map[string]struct{} // names of the Nodes on which Calico runs
}

func newAddressIndex() *addressIndex {
	return &addressIndex{byAddr: holders[*indexEntry]{}, byIngress: holders[*indexEntry]{}, prefixes: map[netip.Prefix]int{}, calico: map[string]struct{}{}}
}

// replace replaces the old state of a Node or Service by the new one. Either may be nil.
func (s *addressIndex) replace(old, now *indexEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old != nil {
		s.remove(old)
	}
	if now != nil {
		s.add(now)
	}
}

func (s *addressIndex) add(p *indexEntry) {
	for _, addr := range p.addrs {
		s.byAddr.add(addr, p)
	}
	for _, addr := range p.ingress {
		s.byIngress.add(addr, p)
	}
	for _, prefix := range p.prefixes {
		if s.prefixes[prefix]++; s.prefixes[prefix] == 1 {
			s.lengths(prefix)[prefix.Bits()]++
		}
	}
	if p.calico {
		s.calico[p.name] = struct{}{}
	}
}

func (s *addressIndex) remove(p *indexEntry) {
	for _, addr := range p.addrs {
		s.byAddr.remove(addr, p)
	}
	for _, addr := range p.ingress {
		s.byIngress.remove(addr, p)
	}
	for _, prefix := range p.prefixes {
		if s.prefixes[prefix]--; s.prefixes[prefix] <= 0 {
			delete(s.prefixes, prefix)
			s.lengths(prefix)[prefix.Bits()]--
		}
	}
	delete(s.calico, p.name)
}

func (s *addressIndex) lengths(p netip.Prefix) *[129]int {
	if p.Addr().Is4() {
		return &s.bits4
	}
	return &s.bits6
}

// find returns the number of objects with addr, and the key of one of them. Services may
// share the address of a load balancer.
func (s *addressIndex) find(addr netip.Addr) (key string, n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, n := s.byAddr.get(addr)
	if n == 0 {
		p, n = s.byIngress.get(addr)
	}
	if n == 0 {
		return "", 0
	}
	return p.name, n
}

// hasCalico reports whether Calico runs on the Node.
func (s *addressIndex) hasCalico(node string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.calico[node]
	return ok
}

// haveRanges reports whether a Node says which addresses it gives to pods.
func (s *addressIndex) haveRanges() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.prefixes) > 0
}

// gives reports whether addr is in a range from which a Node gives addresses to pods.
func (s *addressIndex) gives(addr netip.Addr) bool {
	_, ok := s.prefixOf(addr)
	return ok
}

// prefixOf returns the longest prefix of a Node that contains addr.
func (s *addressIndex) prefixOf(addr netip.Addr) (netip.Prefix, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.prefixes) == 0 {
		return netip.Prefix{}, false
	}
	lengths := s.lengths(netip.PrefixFrom(addr, 0))
	for bits := addr.BitLen(); bits >= 0; bits-- {
		if lengths[bits] == 0 {
			continue
		}
		if prefix, err := addr.Prefix(bits); err == nil && s.prefixes[prefix] > 0 {
			return prefix, true
		}
	}
	return netip.Prefix{}, false
}

// keyed is a value with a unique name among its kind.
type keyed interface{ key() string }

// holders maps an address to its owners, if there may be several: load balancers share
// addresses, and an annotation may contain anything. Adding and removing take constant
// time, however many owners an address has. It is not for concurrent use.
type holders[V keyed] map[netip.Addr]holding[V]

// holding holds the owners of one address. Nearly always there is one, which needs no map.
type holding[V keyed] struct {
	first V
	more  map[string]V // the others, by name
}

func (h holders[V]) add(addr netip.Addr, v V) {
	has, ok := h[addr]
	switch {
	case !ok || has.first.key() == v.key():
		has.first = v
	case has.more == nil:
		has.more = map[string]V{v.key(): v}
	default:
		has.more[v.key()] = v
	}
	h[addr] = has
}

func (h holders[V]) remove(addr netip.Addr, v V) {
	has, ok := h[addr]
	switch {
	case !ok:
	case has.first.key() != v.key():
		delete(has.more, v.key())
	case len(has.more) == 0:
		delete(h, addr)
	default:
		for name, next := range has.more {
			delete(has.more, name)
			has.first = next
			break
		}
		h[addr] = has
	}
}

// get returns one owner of addr, and the number of owners.
func (h holders[V]) get(addr netip.Addr) (v V, n int) {
	has, ok := h[addr]
	if !ok {
		return v, 0
	}
	return has.first, 1 + len(has.more)
}
