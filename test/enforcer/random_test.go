package enforcer

import (
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const (
	randomRounds = 40
	randomProbes = 10 // kube-router logs no more packets of a pod at once
)

// random applies random policies, sends random packets and compares the results. The
// policies avoid the cases in which kube-router 1.5.1 is known to differ from the API:
//
//   - If a policy for both directions selects both ends, a packet that it allows for
//     egress is allowed for ingress too, and the other way round.
//   - If one block of a rule excludes an address, another block of that rule cannot
//     allow it.
//   - If a rule allows egress to everywhere at a named port, only the pods in the
//     policy's namespace define that port.
//   - IPv6 does not work.
func (c *cluster) random(t *testing.T) {
	dropped := 0
	for seed := range uint64(randomRounds) {
		r := &dice{rand.New(rand.NewPCG(seed, 2))}
		var policies []*networkingv1.NetworkPolicy
		for i := range 1 + r.IntN(6) {
			policies = append(policies, r.policy(i))
		}
		c.apply(t, policies...)
		s := c.set(t)
		var probes []*probe
		seen := map[string]bool{}
		for len(probes) < randomProbes {
			from, to := &c.ends[r.IntN(len(c.ends))], &c.ends[r.IntN(len(c.ends))]
			protocol, port := r.protocol(), r.port()
			key := fmt.Sprint(from.Name, to.Name, protocol, port)
			if from != to && !seen[key] && from.Namespace+to.Namespace != "" {
				probes = append(probes, c.ask(s, from, to, protocol, port))
			}
			seen[key] = true
		}
		dropped += c.compare(t, probes)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d packets, %d of them denied", randomRounds*randomProbes, dropped)
	if dropped < randomRounds || dropped > randomRounds*(randomProbes-1) {
		t.Error("too few or too many were denied to tell much")
	}
}

// dice is the random source of a round.
type dice struct{ *rand.Rand }

func pick[T any](r *dice, from ...T) T { return from[r.IntN(len(from))] }

func (r *dice) chance(percent int) bool { return r.IntN(100) < percent }

func (r *dice) protocol() corev1.Protocol {
	return pick(r, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
}

// port returns one of few ports, so that policies and packets meet. Two of the ports have
// names.
func (r *dice) port() uint16 { return pick[uint16](r, 8080, 53, 8081, 8082, 8083) }

func (r *dice) policy(i int) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: pick(r, "shop", "metrics"), Name: fmt.Sprintf("p-%d", i)}}
	p.Spec.PodSelector = r.selector()
	rules := r.IntN(3)
	if r.chance(50) {
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		for range rules {
			from := r.peers()
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: from, Ports: r.ports(true)})
		}
		return p
	}
	p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	for range rules {
		to := r.peers()
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: to, Ports: r.ports(len(to) > 0)})
	}
	return p
}

func (r *dice) selector() metav1.LabelSelector {
	key := pick(r, "app", "tier")
	values := map[string][]string{"app": {"front", "api", "db", "grafana", "prom"}, "tier": {"web", "back"}}[key]
	switch r.IntN(5) {
	case 0:
		return metav1.LabelSelector{}
	case 1:
		operator := pick(r, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator}}}
	case 2:
		operator := pick(r, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn)
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: []string{pick(r, values...), pick(r, values...)}}}}
	}
	return metav1.LabelSelector{MatchLabels: map[string]string{key: pick(r, values...)}}
}

// peers returns some peers, with at most one block of addresses.
func (r *dice) peers() []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	if r.chance(30) {
		block := &networkingv1.IPBlock{CIDR: pick(r, "0.0.0.0/0", "10.20.0.0/16", "10.20.1.8/30", "203.0.113.0/24")}
		if r.chance(40) {
			block.Except = []string{map[string]string{
				"0.0.0.0/0": "10.0.0.0/8", "10.20.0.0/16": "10.20.1.8/30", "10.20.1.8/30": "10.20.1.11/32", "203.0.113.0/24": "203.0.113.128/25",
			}[block.CIDR]}
		}
		peers = append(peers, networkingv1.NetworkPolicyPeer{IPBlock: block})
	}
	for range r.IntN(3) {
		pods, namespaces := r.selector(), metav1.LabelSelector{}
		if r.chance(60) {
			namespaces.MatchLabels = map[string]string{"team": pick(r, "s", "m")}
		}
		peers = append(peers, pick(r,
			networkingv1.NetworkPolicyPeer{PodSelector: &pods},
			networkingv1.NetworkPolicyPeer{NamespaceSelector: &namespaces},
			networkingv1.NetworkPolicyPeer{PodSelector: &pods, NamespaceSelector: &namespaces},
		))
	}
	return peers
}

func (r *dice) ports(named bool) []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	for range r.IntN(3) {
		protocol := r.protocol()
		p := networkingv1.NetworkPolicyPort{Protocol: &protocol}
		number := intstr.FromInt32(int32(r.port()))
		switch r.IntN(4) {
		case 0:
			end := number.IntVal + 1
			p.Port, p.EndPort = &number, &end
		case 1:
			if named {
				name := intstr.FromString(pick(r, "http", "dns"))
				p.Port = &name
			}
		case 2:
			p.Port = &number
		}
		ports = append(ports, p)
	}
	return ports
}
