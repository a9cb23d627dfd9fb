package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Suggestion holds policies that would allow a denied flow.
type Suggestion struct {
	// Policies has one NetworkPolicy for each direction that denies the flow, ingress
	// first.
	Policies []*networkingv1.NetworkPolicy
	// Within has, for each of Policies, the name of an existing policy that selects all
	// pods which the new one selects.
	Within []string
	// Also holds other pairs of ends between which the new policies allow traffic that is
	// denied today, at the flow's port. It has at most MaxAlso pairs; AlsoCount is the
	// number of all. AtLeast reports that there may be more, because there are too many
	// pairs to check.
	Also      []Pair
	AlsoCount int
	AtLeast   bool
}

// Pair is the two ends of a flow.
type Pair struct{ Source, Destination End }

// MaxAlso bounds the pairs in a Suggestion, and maxReplayed the pairs that are checked,
// which takes some seconds.
const MaxAlso, maxReplayed = 10, 500_000

// Suggest returns NetworkPolicies that together allow the flow. ends are all pods in the
// namespaces of both ends, and other known ends of the cluster.
//
// A pod that no policy selects in a direction may do everything. The first policy that
// selects it denies everything else. So a suggestion selects only pods that one of the
// denying policies selects: its pod selector is that policy's selector plus the labels of
// the pod's workload. On the other side it selects pods with the labels of the peer's
// workload, because the next pods of a Deployment will need the same.
//
// The suggestion is then replayed on all ends. Also has everything that it allows beyond
// the flow. Suggest returns an error if the suggestion would deny something that is allowed
// today, if no policy can express what is needed, or if nothing is denied.
func (s *Set) Suggest(f *Flow, ends []End) (Suggestion, error) {
	if f.Protocol != corev1.ProtocolTCP && f.Protocol != corev1.ProtocolUDP && f.Protocol != corev1.ProtocolSCTP {
		return Suggestion{}, fmt.Errorf("a NetworkPolicy cannot allow %s without allowing everything", f.Protocol)
	}
	answer := s.Evaluate(f)
	var made Suggestion
	for _, side := range []*Side{&answer.Ingress, &answer.Egress} {
		if side.Verdict != Denied {
			continue
		}
		p, within, err := s.suggestSide(f, side.Direction, ends)
		if err != nil {
			return Suggestion{}, err
		}
		made.Policies, made.Within = append(made.Policies, p), append(made.Within, within)
	}
	if len(made.Policies) == 0 {
		return Suggestion{}, errors.New("no NetworkPolicy denies this")
	}
	return made, s.replay(f, &made, ends)
}

// suggestSide returns the policy for one direction, and the name of an existing policy that
// selects all pods which the new one selects.
func (s *Set) suggestSide(f *Flow, d Direction, ends []End) (p *networkingv1.NetworkPolicy, within string, err error) {
	pod, other := &f.Destination, &f.Source
	if d == Egress {
		pod, other = other, pod
	}
	peer, err := peerFor(other, pod.Namespace, ends)
	if err != nil {
		return nil, "", err
	}
	protocol, port := f.Protocol, intstr.FromInt32(int32(f.Port))
	ports := []networkingv1.NetworkPolicyPort{{Protocol: &protocol, Port: &port}}
	var spec networkingv1.NetworkPolicySpec
	if d == Ingress {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peer, Ports: ports}}
	} else {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peer, Ports: ports}}
	}
	spec.PodSelector, err = selectorFor(pod, ends)
	if err != nil {
		return nil, "", err
	}
	if spec.PodSelector, within, err = s.narrow(pod, d, &spec.PodSelector); err != nil {
		return nil, "", err
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: s.nameFor(f, &spec, pod.Namespace)},
		Spec:       spec,
	}, within, nil
}

// narrow adds to a selector the requirements of one of the policies that isolate the pod.
// It takes the policy that adds the fewest, and returns its name.
func (s *Set) narrow(pod *End, d Direction, own *metav1.LabelSelector) (selector metav1.LabelSelector, within string, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	least, labels := -1, newLabelSet(pod.Labels)
	for i := range s.namespaces[pod.Namespace].policies {
		e := &s.namespaces[pod.Namespace].policies[i]
		if !e.isolates[d] || e.pods.match(labels) != matches {
			continue
		}
		if narrowed, added := intersect(own, &e.pods); least < 0 || added < least {
			selector, within, least = narrowed, e.name, added
		}
	}
	if least < 0 {
		return selector, "", fmt.Errorf("no NetworkPolicy selects %s/%s", pod.Namespace, pod.Name)
	}
	return selector, within, nil
}

// nameFor returns a name that says what the policy does. No other policy of the namespace
// has this name.
func (s *Set) nameFor(f *Flow, spec *networkingv1.NetworkPolicySpec, namespace string) string {
	text, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("marshal a NetworkPolicy's spec: %v", err)) // marshalling a spec cannot fail
	}
	hash := sha256.Sum256(text)
	name := strings.ToLower(fmt.Sprintf("allow-%s-%d-%s-%s", spec.PolicyTypes[0], f.Port, f.Protocol, hex.EncodeToString(hash[:4])))
	s.mu.RLock()
	defer s.mu.RUnlock()
	ns := s.namespaces[namespace]
	for base, i := name, 2; ; i++ {
		// A policy with this name does not allow the flow, so somebody has changed it.
		if _, taken := ns.find(name); !taken {
			return name
		}
		name = fmt.Sprintf("%s-%d", base, i)
	}
}

// peerFor returns the peers that stand for the end in a policy of the namespace.
func peerFor(e *End, namespace string, ends []End) ([]networkingv1.NetworkPolicyPeer, error) {
	var p networkingv1.NetworkPolicyPeer
	switch e.Kind {
	case Pod:
		selector, err := selectorFor(e, ends)
		if err != nil {
			return nil, err
		}
		p.PodSelector = &selector
		if e.Namespace != namespace {
			p.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: e.Namespace}}
		}
	case Outside, Node:
		addr := e.Addr.Unmap().WithZone("")
		if !addr.IsValid() {
			return nil, fmt.Errorf("%s/%s has no address yet", e.Namespace, e.Name)
		}
		block, err := addr.Prefix(addr.BitLen())
		if err != nil {
			return nil, fmt.Errorf("the address %s: %w", e.Addr, err)
		}
		p.IPBlock = &networkingv1.IPBlock{CIDR: block.String()}
	default:
		return nil, fmt.Errorf("it is not known which pods %s stands for", e.Addr)
	}
	return []networkingv1.NetworkPolicyPeer{p}, nil
}

// replay compares what is allowed at the flow's port between all ends, before and after. It
// fills in Also. It returns an error if a pod becomes isolated, because then all its other
// traffic would be denied.
func (s *Set) replay(f *Flow, made *Suggestion, ends []End) error {
	after := s.clone(f)
	var selected [2]*Compiled
	for _, p := range made.Policies {
		r, err := Compile(p)
		if err != nil {
			return fmt.Errorf("suggest a policy: %w", err)
		}
		after.Put(r)
		for d, isolates := range r.isolates {
			if isolates {
				selected[d] = r
			}
		}
	}
	if err := s.newlyIsolated(selected, ends); err != nil {
		return err
	}
	ends = slices.Clone(ends)
	for _, e := range []End{f.Source, f.Destination} {
		if e.Kind != Pod {
			ends = append(ends, e)
		}
	}
	made.compare(s, after, selected, f, ends)
	return nil
}

// newlyIsolated returns an error if a new policy selects a pod that no policy selects in
// that direction today.
func (s *Set) newlyIsolated(selected [2]*Compiled, pods []End) error {
	for d, r := range selected {
		for i := range pods {
			if r.selects(&pods[i]) && !s.isolated(&pods[i], Direction(d)) {
				return fmt.Errorf("a policy that allows this would select %s/%s as well, whose %s no policy restricts today, and deny it all else",
					pods[i].Namespace, pods[i].Name, Direction(d))
			}
		}
	}
	return nil
}

// compare adds to Also the pairs of ends that are denied before and allowed after, except
// for the flow's own ends.
func (made *Suggestion) compare(before, after *Set, selected [2]*Compiled, f *Flow, ends []End) {
	replayed := 0
	for i := range ends {
		for k := range ends {
			flow := Flow{Source: ends[i], Destination: ends[k], Protocol: f.Protocol, Port: f.Port}
			if !selected[Ingress].selects(&flow.Destination) && !selected[Egress].selects(&flow.Source) {
				continue // the new policies do not change this pair
			}
			if replayed++; replayed > maxReplayed {
				made.AtLeast = true
				return
			}
			was, is := before.Evaluate(&flow), after.Evaluate(&flow)
			asked := flow.Source.same(&f.Source) && flow.Destination.same(&f.Destination)
			if asked || !was.denied() || is.denied() {
				continue
			}
			if made.AlsoCount++; made.AlsoCount <= MaxAlso {
				made.Also = append(made.Also, Pair{flow.Source, flow.Destination})
			}
		}
	}
}

// isolated reports whether a policy selects the pod in a direction.
func (s *Set) isolated(pod *End, d Direction) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	labels := newLabelSet(pod.Labels)
	return slices.ContainsFunc(s.namespaces[pod.Namespace].policies, func(e indexedPolicy) bool {
		return e.isolates[d] && e.pods.match(labels) == matches
	})
}

// clone returns a Set with what is known of the flow's namespaces.
func (s *Set) clone(f *Flow) *Set {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := NewSet(s.now)
	for name, ns := range s.namespaces {
		c.namespaces[name] = &namespace{labels: ns.labels, policies: ns.policies}
		if name == f.Source.Namespace || name == f.Destination.Namespace {
			c.namespaces[name].policies = slices.Clone(ns.policies)
		}
	}
	return c
}

// selects reports whether the policy selects the pod. A nil Compiled selects none.
func (r *Compiled) selects(pod *End) bool {
	return r != nil && pod.Kind == Pod && pod.Namespace == r.namespace && r.pods.match(newLabelSet(pod.Labels)) == matches
}

func (a *Answer) denied() bool { return a.Ingress.Verdict == Denied || a.Egress.Verdict == Denied }

// same reports whether both are the same pod, or the same address if they are no pods.
func (e *End) same(other *End) bool {
	if e.Kind == Pod && other.Kind == Pod {
		return e.Namespace == other.Namespace && e.Name == other.Name
	}
	return e.Kind == other.Kind && e.Addr == other.Addr
}
