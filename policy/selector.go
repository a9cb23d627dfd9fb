package policy

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selector is a label selector.
type selector struct {
	labels.Selector

	// size is how many requirements and values it has, at least 1.
	size int
	// cut reports that it has more of these than are kept, so that what it
	// selects is not known.
	cut bool
}

// newSelector compiles what a policy says. An invalid selector selects nothing.
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

// match reports whether it selects an object with these labels.
func (s *selector) match(set labels.Set) match {
	if s.cut {
		return unclear
	}
	return said(s.Matches(set))
}

// matchNamespace is match for a Namespace. Where its labels are not known, only
// the name is: every Namespace has it as a label.
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

// namespaceLabels are the labels of a Namespace, or its name alone.
type namespaceLabels struct {
	labels.Set

	known bool
}
