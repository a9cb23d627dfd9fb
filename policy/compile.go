package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Bounds for one policy and for one flow. Tenants write policies, and a policy of 1.5 MiB
// can have 100,000 peers.
const (
	// maxEntries bounds the sum of the rules, peers, exceptions, ports, requirements and
	// values of selectors that are kept of a policy.
	maxEntries = 10_000
	// maxCompared bounds the sum of those that are compared with one direction of a flow,
	// over all policies of the pod's namespace.
	maxCompared = 50_000
	// maxErrors bounds the errors that are reported for a policy.
	maxErrors = 8
)

// Compiled holds what is kept of a NetworkPolicy, ready for evaluation. It never changes.
type Compiled struct {
	namespace, name string
	version         string
	generation      int64 // metadata.generation, which counts changes of the spec; 0 if it is not known
	created         int64 // Unix seconds
	pods            selector
	// isolates reports for each direction whether the policy applies to it. Rules for other
	// directions have no effect.
	isolates [2]bool
	rules    [2][]rule
	size     int  // entries of the rules
	cut      bool // the policy has more entries than were kept
}

// rule allows traffic of the peers at the ports. No peers stand for all peers, and no ports
// for all ports.
type rule struct {
	peers []rulePeer
	ports []rulePort
	// The rule has more peers or ports than were kept.
	peersCut, portsCut bool
}

// rulePeer is a block of addresses, or selects pods. A selector is nil if the policy does not
// set it. Without a selector for namespaces, it selects pods of the policy's namespace.
type rulePeer struct {
	block            *block
	namespaces, pods *selector
}

type block struct {
	of     netip.Prefix
	except []netip.Prefix
}

// rulePort is a range of numbers, or a name. If neither is set, it stands for all ports of the
// protocol.
type rulePort struct {
	name     string
	from, to uint16
	protocol protocol
}

// protocol is a protocol that policies know.
type protocol uint8

const (
	otherProtocol protocol = iota // matches nothing
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

// String returns the protocol as in policies.
func (p protocol) String() string { return [...]string{"unknown", "TCP", "UDP", "SCTP"}[p] }

// Compile compiles a policy. An invalid selector or block of addresses matches nothing;
// the API server does not accept such policies. Entries beyond the bounds are left out, and
// what only they may allow is Undecided, see Compiled.Cut. The error describes what is
// invalid. The result is valid even then.
func Compile(o *networkingv1.NetworkPolicy) (*Compiled, error) {
	c := compiler{left: maxEntries}
	r := &Compiled{
		namespace: o.Namespace, name: o.Name, version: o.ResourceVersion,
		generation: o.Generation, created: o.CreationTimestamp.Unix(),
		pods: c.selector(&o.Spec.PodSelector),
	}
	before := c.left
	r.isolates[Ingress], r.isolates[Egress] = directions(&o.Spec)
	for i := range o.Spec.Ingress {
		in := &o.Spec.Ingress[i]
		if !c.addRule(&r.rules[Ingress], in.From, in.Ports) {
			break
		}
	}
	for i := range o.Spec.Egress {
		out := &o.Spec.Egress[i]
		if !c.addRule(&r.rules[Egress], out.To, out.Ports) {
			break
		}
	}
	r.size, r.cut = before-c.left, c.cut
	if err := errors.Join(c.errs...); err != nil {
		return r, fmt.Errorf("NetworkPolicy %s/%s: %w", o.Namespace, o.Name, err)
	}
	return r, nil
}

// Cut reports whether the policy has more rules, peers, ports or selector values than were
// kept.
func (r *Compiled) Cut() bool { return r.cut }

// directions returns the directions to which a policy applies. The API server fills in
// policyTypes. A policy that was not there yet may lack them.
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

// compiler compiles the parts of a policy and collects errors.
type compiler struct {
	left int // entries
	cut  bool
	errs []error
}

// take takes entries from what is left. If there are too few, it takes none and marks the
// policy as cut.
func (c *compiler) take(entries int) bool {
	if entries > c.left {
		c.cut = true
		return false
	}
	c.left -= entries
	return true
}

func (c *compiler) fail(err error) {
	if len(c.errs) < maxErrors {
		c.errs = append(c.errs, err)
	}
}

func (c *compiler) selector(s *metav1.LabelSelector) selector {
	size := sizeOf(s)
	if !c.take(size) {
		return selector{Selector: labels.Nothing(), size: 1, cut: true}
	}
	made, err := newSelector(s, size)
	if err != nil {
		c.fail(fmt.Errorf("selector: %w", err))
	}
	return made
}

// given compiles a selector if there is one.
func (c *compiler) given(s *metav1.LabelSelector) *selector {
	if s == nil {
		return nil
	}
	made := c.selector(s)
	return &made
}

// addRule adds a rule. Beyond the bound it adds a rule that may allow anything, and returns
// false.
func (c *compiler) addRule(to *[]rule, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) bool {
	if !c.take(1) {
		*to = append(*to, rule{peersCut: true, portsCut: true})
		return false
	}
	var r rule
	for i := range peers {
		if !c.take(entriesOf(&peers[i])) {
			r.peersCut = true
			break
		}
		r.peers = append(r.peers, c.peer(&peers[i]))
	}
	for i := range ports {
		if !c.take(1) {
			r.portsCut = true
			break
		}
		r.ports = append(r.ports, c.port(&ports[i]))
	}
	r.peers, r.ports = slices.Clip(r.peers), slices.Clip(r.ports)
	*to = append(*to, r)
	return true
}

// entriesOf counts a peer and its exceptions. Selectors are counted elsewhere.
func entriesOf(p *networkingv1.NetworkPolicyPeer) int {
	if p.IPBlock == nil {
		return 1
	}
	return 1 + len(p.IPBlock.Except)
}

func (c *compiler) peer(p *networkingv1.NetworkPolicyPeer) rulePeer {
	if p.IPBlock != nil {
		return rulePeer{block: c.block(p.IPBlock)}
	}
	return rulePeer{namespaces: c.given(p.NamespaceSelector), pods: c.given(p.PodSelector)}
}

func (c *compiler) block(b *networkingv1.IPBlock) *block {
	of, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		c.fail(fmt.Errorf("ipBlock: %w", err))
		return &block{}
	}
	parsed := &block{of: of.Masked()}
	for _, except := range b.Except {
		e, err := netip.ParsePrefix(except)
		if err != nil {
			c.fail(fmt.Errorf("ipBlock: except: %w", err))
			return &block{}
		}
		parsed.except = append(parsed.except, e.Masked())
	}
	return parsed
}

// port compiles a port. If it is invalid, no port matches it.
func (c *compiler) port(p *networkingv1.NetworkPolicyPort) rulePort {
	made := rulePort{protocol: tcp}
	if p.Protocol != nil {
		made.protocol = protocolOf(*p.Protocol)
	}
	first, last, numbered := int32(0), int32(0), false
	switch {
	case p.Port == nil:
	case p.Port.Type == intstr.String:
		made.name = p.Port.StrVal
	default:
		first, last, numbered = p.Port.IntVal, p.Port.IntVal, true
		if p.EndPort != nil {
			last = *p.EndPort
		}
	}
	const highest = 1<<16 - 1
	if made.protocol == otherProtocol || numbered && (first < 1 || last < first || last > highest) {
		c.fail(fmt.Errorf("port: neither a port nor a range of TCP, UDP or SCTP: %d-%d", first, last))
		return rulePort{}
	}
	made.from, made.to = uint16(first), uint16(last)
	return made
}

// same reports whether another version of the policy has the same spec.
func (r *Compiled) same(other *Compiled) bool {
	if r.generation == 0 {
		return r.version != "" && r.version == other.version
	}
	return r.generation == other.generation && r.created == other.created
}

// GetObjectMeta gives client-go what it asks of the objects in its store: the
// key and the version.
func (r *Compiled) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: r.namespace, Name: r.name, ResourceVersion: r.version}
}
