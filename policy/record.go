package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Record is all that is kept of a NetworkPolicy: what it says, ready to be
// asked. It shares no memory with the object and never changes.
type Record struct {
	namespace, name string
	version         string
	created         int64 // Unix seconds
	pods            labels.Selector
	// isolates says which directions the policy applies to; of the others its
	// rules say nothing.
	isolates [2]bool
	rules    [2][]rule
}

// rule allows the peers, or all where there are none, the ports, or all.
type rule struct {
	peers []peer
	ports []port
}

// peer is a block of addresses, or else pods. A nil selector is one that is
// not given: without namespaces the pods are of the policy's own namespace.
type peer struct {
	block            *block
	namespaces, pods labels.Selector
}

type block struct {
	of     netip.Prefix
	except []netip.Prefix
}

// port is a range of numbers, or a name; neither stands for all of the
// protocol's.
type port struct {
	protocol string
	name     string
	from, to uint16
}

// NewRecord keeps what a policy says. A selector or block of addresses that is
// invalid, which the API server does not let pass, matches nothing; the error
// says which. The record is there all the same.
func NewRecord(o *networkingv1.NetworkPolicy) (*Record, error) {
	var c compiler
	r := &Record{
		namespace: strings.Clone(o.Namespace), name: strings.Clone(o.Name), version: strings.Clone(o.ResourceVersion),
		created: o.CreationTimestamp.Unix(),
		pods:    c.selector(&o.Spec.PodSelector),
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
type compiler struct{ errs []error }

func (c *compiler) selector(s *metav1.LabelSelector) labels.Selector {
	if s == nil {
		return nil
	}
	compiled, err := metav1.LabelSelectorAsSelector(clone(s))
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("selector: %w", err))
		return labels.Nothing()
	}
	return compiled
}

// clone copies a selector's strings, which a compiled one goes on using.
func clone(s *metav1.LabelSelector) *metav1.LabelSelector {
	c := &metav1.LabelSelector{MatchLabels: make(map[string]string, len(s.MatchLabels))}
	for k, v := range s.MatchLabels {
		c.MatchLabels[strings.Clone(k)] = strings.Clone(v)
	}
	for _, e := range s.MatchExpressions {
		r := metav1.LabelSelectorRequirement{Key: strings.Clone(e.Key), Operator: e.Operator}
		for _, v := range e.Values {
			r.Values = append(r.Values, strings.Clone(v))
		}
		c.MatchExpressions = append(c.MatchExpressions, r)
	}
	return c
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
		r.peers = append(r.peers, peer{namespaces: c.selector(p.NamespaceSelector), pods: c.selector(p.PodSelector)})
	}
	if len(ports) > 0 {
		r.ports = make([]port, 0, len(ports))
	}
	for i := range ports {
		r.ports = append(r.ports, newPort(&ports[i]))
	}
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

func newPort(p *networkingv1.NetworkPolicyPort) port {
	made := port{protocol: string(corev1.ProtocolTCP)}
	if p.Protocol != nil {
		made.protocol = protocolName(*p.Protocol)
	}
	switch {
	case p.Port == nil:
	case p.Port.Type == intstr.String:
		made.name = strings.Clone(p.Port.StrVal)
	default:
		made.from = uint16(p.Port.IntVal)
		made.to = made.from
		if p.EndPort != nil {
			made.to = uint16(*p.EndPort)
		}
	}
	return made
}

// protocolName is one string for all policies that name a protocol.
func protocolName(p corev1.Protocol) string {
	for _, known := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
		if p == known {
			return string(known)
		}
	}
	return strings.Clone(string(p))
}

// Key returns "namespace/name".
func (r *Record) Key() string { return r.namespace + "/" + r.name }

// GetObjectMeta gives client-go what it asks of the objects in its store: the
// key and the version.
func (r *Record) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: r.namespace, Name: r.name, ResourceVersion: r.version}
}
