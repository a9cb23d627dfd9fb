package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selector is a label selector.
type selector struct {
	labels.Selector

	// size is the number of requirements and values, at least 1.
	size int
	// cut reports that the selector has more of these than were kept, so its result is not
	// known.
	cut bool
}

// newSelector compiles a selector of a policy. An invalid selector selects nothing.
func newSelector(s *metav1.LabelSelector, size int) (selector, error) {
	valid, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		valid = labels.Nothing()
	}
	return selector{Selector: valid, size: size}, err
}

// sizeOf counts the requirements and values of a selector.
func sizeOf(s *metav1.LabelSelector) int {
	size := 1 + len(s.MatchLabels) + len(s.MatchExpressions)
	for i := range s.MatchExpressions {
		size += len(s.MatchExpressions[i].Values)
	}
	return size
}

// match reports whether the selector selects an object with these labels.
func (s *selector) match(set labels.Set) match {
	if s.cut {
		return unclear
	}
	return said(s.Matches(set))
}

// matchNamespace is match for a Namespace. If its labels are not known, only its name is:
// every Namespace has its name as a label.
func (s *selector) matchNamespace(ns namespaceLabels) match {
	if s.cut || ns.known {
		return s.match(ns.Set)
	}
	best := matches
	requirements, selectable := s.Requirements()
	for i := range requirements {
		switch {
		case !ns.Has(requirements[i].Key()):
			best = min(best, unclear)
		case !requirements[i].Matches(ns.Set):
			return differs
		}
	}
	if !selectable {
		return differs
	}
	return best
}

// namespaceLabels are the labels of a Namespace, or only its name.
type namespaceLabels struct {
	labels.Set

	known bool
}
