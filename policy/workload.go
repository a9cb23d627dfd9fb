package policy

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// selectorFor selects, of all the pods in its namespace, those with the same
// labels as the pod: its labels must be there, and one label of every pod that
// has all of these and more must not. A pod without labels cannot be selected: a
// selector that asks for none of the labels there are selects whatever comes next.
func selectorFor(pod *End, ends []End) (metav1.LabelSelector, error) {
	if len(pod.Labels) == 0 {
		return metav1.LabelSelector{}, fmt.Errorf("pod %s/%s has no labels, so that no policy can tell it from others: give it one", pod.Namespace, pod.Name)
	}
	own := lasting(pod.Labels)
	var without []string
	for i := range ends {
		other := &ends[i]
		if other.Kind != Pod || other.Namespace != pod.Namespace {
			continue
		}
		key, more := beyond(own, other.Labels)
		if more && !slices.Contains(without, key) {
			without = append(without, key)
		}
	}
	slices.Sort(without)
	s := metav1.LabelSelector{MatchLabels: own}
	for _, key := range without {
		s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpDoesNotExist})
	}
	return s, nil
}

// beyond returns the first lasting label that other has beyond all of own; more is
// false if other lacks one of own or has no such label.
func beyond(own, other labels.Set) (key string, more bool) {
	for k, v := range own {
		if value, ok := other[k]; !ok || value != v {
			return "", false
		}
	}
	for k := range lasting(other) {
		if !own.Has(k) && (!more || k < key) {
			key, more = k, true
		}
	}
	return key, more
}

// intersect returns a selector of the objects that both select, and how many
// requirements the second adds to the first.
func intersect(own *metav1.LabelSelector, other *selector) (both metav1.LabelSelector, added int) {
	both = *own.DeepCopy()
	requirements, _ := other.Requirements()
	for i := range requirements {
		if r := &requirements[i]; !implied(own, r) {
			both.MatchExpressions = append(both.MatchExpressions, expression(r))
			added++
		}
	}
	return both, added
}

// implied reports whether whatever a selector selects meets the requirement.
func implied(s *metav1.LabelSelector, r *labels.Requirement) bool {
	if _, known := s.MatchLabels[r.Key()]; known {
		return r.Matches(labels.Set(s.MatchLabels))
	}
	return slices.ContainsFunc(s.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool {
		return e.Key == r.Key() && e.Operator == metav1.LabelSelectorOpDoesNotExist && r.Matches(labels.Set{})
	})
}

// expression writes a requirement as a policy does.
func expression(r *labels.Requirement) metav1.LabelSelectorRequirement {
	e := metav1.LabelSelectorRequirement{Key: r.Key()}
	switch r.Operator() {
	case selection.Exists:
		e.Operator = metav1.LabelSelectorOpExists
	case selection.DoesNotExist:
		e.Operator = metav1.LabelSelectorOpDoesNotExist
	case selection.NotEquals, selection.NotIn:
		e.Operator, e.Values = metav1.LabelSelectorOpNotIn, r.Values().List()
	default:
		e.Operator, e.Values = metav1.LabelSelectorOpIn, r.Values().List()
	}
	return e
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

// passing reports whether controllers give every pod, or every generation of
// them, another value of the label.
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
