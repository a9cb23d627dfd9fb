package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Record is all that is kept of a NetworkPolicy: what it says, ready to be
// asked. It shares no memory with the object and never changes.
type Record struct {
	namespace, name string
	version         string
	generation      int64 // counts changes of what it says, 0 for not known
	created         int64 // Unix seconds
	pods            selector
	// isolates says which directions the policy applies to; of the others its
	// rules say nothing.
	isolates [2]bool
	rules    [2][]rule
}

// rule allows the peers, or all where there are none, the ports, or all.
type rule struct {
	about digest
	peers []peer
	ports []port
}

// peer is a block of addresses, or else pods. A nil selector is one that is
// not given: without namespaces the pods are of the policy's own namespace.
type peer struct {
	block            *block
	namespaces, pods *selector
}

type block struct {
	of     netip.Prefix
	except []netip.Prefix
}

// port is a range of numbers, or a name; neither stands for all of the
// protocol's.
type port struct {
	name     string
	from, to uint16
	protocol protocol
}

// protocol is one that policies know.
type protocol uint8

const (
	otherProtocol protocol = iota // and nothing matches it
	tcp
	udp
	sctp
)

func protocolOf(p corev1.Protocol) protocol {
	switch p {
	case corev1.ProtocolTCP:
		return tcp
	case corev1.ProtocolUDP:
		return udp
	case corev1.ProtocolSCTP:
		return sctp
	}
	return otherProtocol
}

// String returns the protocol as policies write it.
func (p protocol) String() string { return [...]string{"unknown", "TCP", "UDP", "SCTP"}[p] }

// NewRecord keeps what a policy says. A selector or block of addresses that is
// invalid, which the API server does not let pass, matches nothing; the error
// says which. The record is there all the same. It is for this Set alone.
func (s *Set) NewRecord(o *networkingv1.NetworkPolicy) (*Record, error) {
	c := compiler{hasher: s.hasher}
	r := &Record{
		namespace: strings.Clone(o.Namespace), name: strings.Clone(o.Name), version: strings.Clone(o.ResourceVersion),
		generation: o.Generation, created: o.CreationTimestamp.Unix(),
		pods: c.selector(&o.Spec.PodSelector),
	}
	r.isolates[Ingress], r.isolates[Egress] = directions(&o.Spec)
	for i := range o.Spec.Ingress {
		in := &o.Spec.Ingress[i]
		r.rules[Ingress] = append(r.rules[Ingress], c.rule(in.From, in.Ports))
	}
	for i := range o.Spec.Egress {
		out := &o.Spec.Egress[i]
		r.rules[Egress] = append(r.rules[Egress], c.rule(out.To, out.Ports))
	}
	if err := errors.Join(c.errs...); err != nil {
		return r, fmt.Errorf("NetworkPolicy %s/%s: %w", o.Namespace, o.Name, err)
	}
	return r, nil
}

// directions are those that a policy applies to. The API server fills
// policyTypes in; a policy that has not been there yet may leave them out.
func directions(spec *networkingv1.NetworkPolicySpec) (ingress, egress bool) {
	if len(spec.PolicyTypes) == 0 {
		return true, len(spec.Egress) > 0
	}
	for _, t := range spec.PolicyTypes {
		switch t {
		case networkingv1.PolicyTypeIngress:
			ingress = true
		case networkingv1.PolicyTypeEgress:
			egress = true
		}
	}
	return ingress, egress
}

// compiler makes records' parts and collects what is wrong with them.
type compiler struct {
	hasher hasher
	errs   []error
}

func (c *compiler) selector(s *metav1.LabelSelector) selector {
	made, err := c.hasher.selector(s)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("selector: %w", err))
	}
	return made
}

// given is the selector if there is one.
func (c *compiler) given(s *metav1.LabelSelector) *selector {
	if s == nil {
		return nil
	}
	made := c.selector(s)
	return &made
}

func (c *compiler) rule(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) rule {
	var r rule
	if len(peers) > 0 {
		r.peers = make([]peer, 0, len(peers))
	}
	for i := range peers {
		p := &peers[i]
		if p.IPBlock != nil {
			r.peers = append(r.peers, peer{block: c.block(p.IPBlock)})
			continue
		}
		r.peers = append(r.peers, peer{namespaces: c.given(p.NamespaceSelector), pods: c.given(p.PodSelector)})
	}
	if len(ports) > 0 {
		r.ports = make([]port, 0, len(ports))
	}
	for i := range ports {
		r.ports = append(r.ports, c.port(&ports[i]))
	}
	r.about = r.digest()
	return r
}

func (c *compiler) block(b *networkingv1.IPBlock) *block {
	of, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("ipBlock: %w", err))
		return &block{}
	}
	parsed := &block{of: of.Masked()}
	for _, except := range b.Except {
		e, err := netip.ParsePrefix(except)
		if err != nil {
			c.errs = append(c.errs, fmt.Errorf("ipBlock: except: %w", err))
			return &block{}
		}
		parsed.except = append(parsed.except, e.Masked())
	}
	return parsed
}

// port is one that no port matches if it is invalid.
func (c *compiler) port(p *networkingv1.NetworkPolicyPort) port {
	made := port{protocol: tcp}
	if p.Protocol != nil {
		made.protocol = protocolOf(*p.Protocol)
	}
	first, last, numbered := int32(0), int32(0), false
	switch {
	case p.Port == nil:
	case p.Port.Type == intstr.String:
		made.name = strings.Clone(p.Port.StrVal)
	default:
		first, last, numbered = p.Port.IntVal, p.Port.IntVal, true
		if p.EndPort != nil {
			last = *p.EndPort
		}
	}
	const highest = 1<<16 - 1
	if made.protocol == otherProtocol || numbered && (first < 1 || last < first || last > highest) {
		c.errs = append(c.errs, fmt.Errorf("port: neither a port nor a range of TCP, UDP or SCTP: %d-%d", first, last))
		return port{}
	}
	made.from, made.to = uint16(first), uint16(last)
	return made
}

// same says whether another version says the same.
func (r *Record) same(other *Record) bool {
	if r.generation == 0 {
		return r.version != "" && r.version == other.version
	}
	return r.generation == other.generation && r.created == other.created
}

// GetObjectMeta gives client-go what it asks of the objects in its store: the
// key and the version.
func (r *Record) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: r.namespace, Name: r.name, ResourceVersion: r.version}
}
