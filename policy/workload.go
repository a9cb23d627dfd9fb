package policy

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// selectorFor returns a selector for the pods of the namespace with the same labels as the
// pod. It requires the pod's labels. For each pod that has all of these labels and more, it
// excludes one of the additional labels. A pod without labels cannot be selected, because a
// selector that only excludes labels selects every new pod.
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

// beyond returns the first lasting label of other that own lacks. more is false if other
// lacks a label of own, or has no such label.
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

// intersect returns a selector for the objects that both select, and the number of
// requirements that the second adds.
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

// implied reports whether everything that the selector selects meets the requirement.
func implied(s *metav1.LabelSelector, r *labels.Requirement) bool {
	if _, known := s.MatchLabels[r.Key()]; known {
		return r.Matches(labels.Set(s.MatchLabels))
	}
	return slices.ContainsFunc(s.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool {
		return e.Key == r.Key() && e.Operator == metav1.LabelSelectorOpDoesNotExist && r.Matches(labels.Set{})
	})
}

// expression returns a requirement in the form of a policy.
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

// lasting returns the labels that all pods of a workload share, also its future pods. If a
// pod has no such labels, it returns all its labels.
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

// passing reports whether controllers give each pod, or each generation of pods, another
// value of the label.
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
