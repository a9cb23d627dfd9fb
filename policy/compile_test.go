package policy

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBounds checks the bounds of a policy. What only the omitted part may allow is
// undecided, never denied. What the rest allows is allowed.
func TestBounds(t *testing.T) {
	const many = 2 * maxEntries
	blocks := func(n int) []networkingv1.NetworkPolicyPeer {
		all := make([]networkingv1.NetworkPolicyPeer, n)
		for i := range all {
			all[i].IPBlock = &networkingv1.IPBlock{CIDR: fmt.Sprintf("203.%d.%d.0/24", i>>8&255, i&255)}
		}
		return all
	}
	front := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "frontend"}}}
	values := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn}}}
	for i := range many {
		values.MatchExpressions[0].Values = append(values.MatchExpressions[0].Values, fmt.Sprintf("v%d", i))
	}
	except := networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: slices.Repeat([]string{"10.1.0.0/16"}, many)}}
	from := func(peers ...networkingv1.NetworkPolicyPeer) []networkingv1.NetworkPolicyIngressRule {
		return []networkingv1.NetworkPolicyIngressRule{{From: peers}}
	}
	ports := slices.Repeat([]networkingv1.NetworkPolicyPort{{Port: intOrString(9090)}}, many)
	tests := []struct {
		name  string
		pods  metav1.LabelSelector
		rules []networkingv1.NetworkPolicyIngressRule
		cut   bool
		want  Verdict
	}{
		{"as many peers as are kept", metav1.LabelSelector{}, from(blocks(maxEntries - 10)...), false, Denied},
		{"more peers", metav1.LabelSelector{}, from(blocks(many)...), true, Undecided},
		{"more peers, one of the first allows it", metav1.LabelSelector{}, from(append([]networkingv1.NetworkPolicyPeer{front}, blocks(many)...)...), true, Allowed},
		{"more peers, one of the last allows it", metav1.LabelSelector{}, from(append(blocks(many), front)...), true, Undecided},
		{"more exceptions", metav1.LabelSelector{}, from(except), true, Undecided},
		{"more ports", metav1.LabelSelector{}, []networkingv1.NetworkPolicyIngressRule{{Ports: ports}}, true, Undecided},
		{"more ports, of other peers", metav1.LabelSelector{}, []networkingv1.NetworkPolicyIngressRule{{From: blocks(1), Ports: ports}}, true, Denied},
		{"more rules", metav1.LabelSelector{}, slices.Repeat(from(blocks(1)...), many), true, Undecided},
		{"more values of a peer", metav1.LabelSelector{}, from(networkingv1.NetworkPolicyPeer{PodSelector: &values}), true, Undecided},
		{"more values of a namespace", metav1.LabelSelector{}, from(networkingv1.NetworkPolicyPeer{NamespaceSelector: &values}), true, Undecided},
		{"more values of the pods selected", values, nil, true, Undecided},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "huge"}}
			o.Spec.PodSelector, o.Spec.Ingress = tt.pods, tt.rules
			r, err := Compile(o)
			if err != nil {
				t.Fatal(err)
			}
			s := newSet(t)
			s.Put(r)
			flow := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
			if got := s.Evaluate(&flow).Ingress.Verdict; got != tt.want || r.Cut() != tt.cut || s.Cut() != map[bool]int{true: 1}[tt.cut] {
				t.Errorf("%v, cut %t, %d cut in the Set; want %v, %t", got, r.Cut(), s.Cut(), tt.want, tt.cut)
			}
			if r.size+r.pods.size > maxEntries+1 {
				t.Errorf("it has %d entries", r.size+r.pods.size)
			}
			s.Delete("shop", "huge")
			if s.Cut() != 0 {
				t.Errorf("%d are cut after it was deleted", s.Cut())
			}
		})
	}
}

// TestOverruns checks the bound for one flow over all policies.
func TestOverruns(t *testing.T) {
	o := parse(t, denyIngress)
	o.Spec.Ingress = slices.Repeat([]networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: intOrString(1)}}}}, maxEntries/3)
	s := newSet(t)
	flow := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	for i := range 20 {
		c := *o
		c.Name = fmt.Sprintf("p-%02d", i)
		r, err := Compile(&c)
		if err != nil {
			t.Fatal(err)
		}
		s.Put(r)
		verdict, overruns := s.Evaluate(&flow).Ingress.Verdict, s.Overruns()
		if all := (i + 1) * (r.size + r.pods.size); all <= maxCompared && (verdict != Denied || overruns != 0) ||
			all > maxCompared && (verdict != Undecided || overruns == 0) {
			t.Errorf("%v and %d overruns after %d entries", verdict, overruns, all)
		}
	}
}

// TestManyMistakes checks the bound on the errors of an invalid policy.
func TestManyMistakes(t *testing.T) {
	o := parse(t, denyIngress)
	for range 1000 {
		o.Spec.Ingress = append(o.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "x"}}}})
	}
	if _, err := Compile(o); err == nil || len(err.Error()) > 1000 {
		t.Errorf("error %v", err)
	}
}
