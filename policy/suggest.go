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
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Suggest returns a NetworkPolicy for each direction that denies the flow,
// ingress first. Applied together they allow the flow, and nothing else but
// between pods that have the same labels as its ends: selectors cannot tell
// those apart, and must not, as the next pods of the same Deployment will need
// it too. pods are all pods of the ends' namespaces.
//
// It is an error if no policy can say so, or nothing is denied.
func Suggest(f *Flow, a *Answer, pods []End) ([]*networkingv1.NetworkPolicy, error) {
	if f.Protocol != corev1.ProtocolTCP && f.Protocol != corev1.ProtocolUDP && f.Protocol != corev1.ProtocolSCTP {
		return nil, fmt.Errorf("a NetworkPolicy cannot allow %s without allowing everything", f.Protocol)
	}
	var all []*networkingv1.NetworkPolicy
	if a.Ingress.Verdict == Denied {
		from, err := peerFor(&f.Source, f.Destination.Namespace, pods)
		if err != nil {
			return nil, err
		}
		all = append(all, suggestion(f, &f.Destination, pods, networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: from, Ports: portsFor(f)}},
		}))
	}
	if a.Egress.Verdict == Denied {
		to, err := peerFor(&f.Destination, f.Source.Namespace, pods)
		if err != nil {
			return nil, err
		}
		all = append(all, suggestion(f, &f.Source, pods, networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress:      []networkingv1.NetworkPolicyEgressRule{{To: to, Ports: portsFor(f)}},
		}))
	}
	if len(all) == 0 {
		return nil, errors.New("no NetworkPolicy denies this")
	}
	return all, nil
}

// suggestion completes a policy for the pod.
func suggestion(f *Flow, pod *End, pods []End, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
	spec.PodSelector = selectorFor(pod, pods)
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: nameFor(f, &spec)},
		Spec:       spec,
	}
}

// nameFor is a name that says what the policy does, and that no policy has
// which does something else.
func nameFor(f *Flow, spec *networkingv1.NetworkPolicySpec) string {
	text, err := json.Marshal(spec)
	if err != nil {
		panic(fmt.Sprintf("marshal a NetworkPolicy's spec: %v", err)) // it holds nothing that could fail
	}
	hash := sha256.Sum256(text)
	return strings.ToLower(fmt.Sprintf("allow-%s-%d-%s-%s", spec.PolicyTypes[0], f.Port, f.Protocol, hex.EncodeToString(hash[:4])))
}

func portsFor(f *Flow) []networkingv1.NetworkPolicyPort {
	protocol, port := f.Protocol, intstr.FromInt32(int32(f.Port))
	return []networkingv1.NetworkPolicyPort{{Protocol: &protocol, Port: &port}}
}

// peerFor is the end as a policy of a namespace names it.
func peerFor(e *End, namespace string, pods []End) ([]networkingv1.NetworkPolicyPeer, error) {
	var p networkingv1.NetworkPolicyPeer
	switch e.Kind {
	case Pod:
		selector := selectorFor(e, pods)
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

// selectorFor selects, of all the pods in its namespace, those with the same
// labels as the pod: its labels must be there, and one label of every pod that
// has all of these and more must not.
func selectorFor(pod *End, pods []End) metav1.LabelSelector {
	own := lasting(pod.Labels)
	var without []string
	for i := range pods {
		other := &pods[i]
		if other.Namespace != pod.Namespace {
			continue
		}
		key, more := beyond(own, lasting(other.Labels))
		if more && !slices.Contains(without, key) {
			without = append(without, key)
		}
	}
	slices.Sort(without)
	s := metav1.LabelSelector{MatchLabels: own}
	for _, key := range without {
		s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist})
	}
	return s
}

// beyond returns the first label that other has beyond all of own; more is
// false if it lacks one of those or has no more.
func beyond(own, other labels.Set) (key string, more bool) {
	for k, v := range own {
		if value, ok := other[k]; !ok || value != v {
			return "", false
		}
	}
	for k := range other {
		if _, ok := own[k]; !ok && (!more || k < key) {
			key, more = k, true
		}
	}
	return key, more
}

// lasting are the labels that the pods of one workload share, and its next
// ones will have. A pod that has no others is known by all it has.
func lasting(set labels.Set) labels.Set {
	left := make(labels.Set, len(set))
	for k, v := range set {
		if !passing(k) {
			left[k] = v
		}
	}
	if len(left) == 0 {
		return set
	}
	return left
}

// passing says that controllers give every pod, or every generation of them,
// another value of the label.
func passing(key string) bool {
	switch key {
	case "pod-template-hash", "controller-revision-hash", "pod-template-generation",
		"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
		"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name",
		"batch.kubernetes.io/job-completion-index":
		return true
	}
	return false
}
