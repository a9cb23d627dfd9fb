package agreement

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// cluster is a random cluster. It is small, so that policies, pods and flows meet. It uses
// few words, so that selectors match.
type cluster struct {
	*rand.Rand
	namespaces []*corev1.Namespace
	pods       []*corev1.Pod
	policies   []*networkingv1.NetworkPolicy
	outside    []netip.Addr
}

func newCluster(seed uint64) *cluster {
	c := &cluster{Rand: rand.New(rand.NewPCG(seed, 1))}
	for i := range 1 + c.IntN(3) {
		name := fmt.Sprintf("ns-%d", i)
		labels := c.labels()
		labels[corev1.LabelMetadataName] = name
		c.namespaces = append(c.namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	for i := range 2 + c.IntN(7) {
		c.pods = append(c.pods, c.pod(i))
	}
	for i := range c.IntN(8) {
		c.policies = append(c.policies, c.policy(i))
	}
	for _, s := range []string{"10.0.9.9", "203.0.113.9", "203.0.113.200", "2001:db8::9"} {
		c.outside = append(c.outside, netip.MustParseAddr(s))
	}
	return c
}

func pick[T any](c *cluster, from ...T) T { return from[c.IntN(len(from))] }

func (c *cluster) chance(percent int) bool { return c.IntN(100) < percent }

func (c *cluster) key() string {
	return pick(c, "app", "tier", "env", "statefulset.kubernetes.io/pod-name")
}

func (c *cluster) value() string { return pick(c, "a", "b", "c") }

func (c *cluster) labels() map[string]string {
	labels := map[string]string{}
	for range c.IntN(4) {
		labels[c.key()] = c.value()
	}
	return labels
}

func (c *cluster) protocol() corev1.Protocol {
	return pick(c, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

// number returns one of few ports, so that ports meet.
func (c *cluster) number() int32 { return int32(1 + c.IntN(8)) }

func (c *cluster) pod(i int) *corev1.Pod {
	address := fmt.Sprintf("10.0.%d.%d", c.IntN(3), 10+i)
	if c.chance(20) {
		address = fmt.Sprintf("fd00::%x", 10+i)
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: pick(c, c.namespaces...).Name, Name: fmt.Sprintf("pod-%d", i), Labels: c.labels()},
		Spec:       corev1.PodSpec{NodeName: "n1"},
		Status:     corev1.PodStatus{PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}},
	}
	for range c.IntN(3) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{
			Ports: []corev1.ContainerPort{{Name: pick(c, "http", "dns"), ContainerPort: c.number(), Protocol: c.protocol()}},
		})
	}
	return p
}

// policy returns a policy as the API server has it, with its defaults. A list of rules is
// nil rather than empty: the library treats an empty list as a rule that allows everything,
// which differs from the API.
func (c *cluster) policy(i int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: pick(c, c.namespaces...).Name, Name: fmt.Sprintf("policy-%d", i)}}
	p.Spec.PodSelector = c.selector()
	p.Spec.PolicyTypes = pick(c,
		[]networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		[]networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		[]networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
	)
	for range c.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: c.peers(), Ports: c.ports()})
	}
	for range c.IntN(3) {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: c.peers(), Ports: c.ports()})
	}
	return p
}

func (c *cluster) selector() metav1.LabelSelector {
	var s metav1.LabelSelector
	if c.chance(30) {
		return s
	}
	if c.chance(60) {
		s.MatchLabels = map[string]string{c.key(): c.value()}
	}
	for range c.IntN(2) {
		r := metav1.LabelSelectorRequirement{Key: c.key(), Operator: pick(c,
			metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
		if r.Operator == metav1.LabelSelectorOpIn || r.Operator == metav1.LabelSelectorOpNotIn {
			for range 1 + c.IntN(2) {
				r.Values = append(r.Values, c.value())
			}
		}
		s.MatchExpressions = append(s.MatchExpressions, r)
	}
	return s
}

func (c *cluster) peers() []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for range c.IntN(3) {
		var p networkingv1.NetworkPolicyPeer
		pods, namespaces := c.selector(), c.selector()
		switch c.IntN(4) {
		case 0:
			p.IPBlock = c.block()
		case 1:
			p.PodSelector = &pods
		case 2:
			p.NamespaceSelector = &namespaces
		case 3:
			p.PodSelector, p.NamespaceSelector = &pods, &namespaces
		}
		peers = append(peers, p)
	}
	return peers
}

func (c *cluster) block() *networkingv1.IPBlock {
	b := &networkingv1.IPBlock{CIDR: pick(c, "0.0.0.0/0", "10.0.0.0/16", "10.0.1.0/24", "203.0.113.0/24", "::/0", "fd00::/64")}
	if c.chance(40) {
		b.Except = []string{map[string]string{
			"0.0.0.0/0": "10.0.0.0/8", "10.0.0.0/16": "10.0.1.0/24", "10.0.1.0/24": "10.0.1.8/29",
			"203.0.113.0/24": "203.0.113.128/25", "::/0": "fd00::/64", "fd00::/64": "fd00::10/124",
		}[b.CIDR]}
	}
	return b
}

func (c *cluster) ports() []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	for range c.IntN(3) {
		protocol := c.protocol()
		p := networkingv1.NetworkPolicyPort{Protocol: &protocol}
		switch c.IntN(4) {
		case 0:
			port := intstr.FromString(pick(c, "http", "dns"))
			p.Port = &port
		case 1:
			port, end := intstr.FromInt32(c.number()), int32(0)
			end = port.IntVal + int32(c.IntN(4))
			p.Port, p.EndPort = &port, &end
		case 2:
			port := intstr.FromInt32(c.number())
			p.Port = &port
		}
		ports = append(ports, p)
	}
	return ports
}
