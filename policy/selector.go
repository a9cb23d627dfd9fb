package policy

import (
	"slices"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selector is a label selector.
type selector struct {
	labels.Selector

	// exact holds the labels that an object must have. It is nil if the selector demands
	// anything else. Most selectors are exact, and comparing handles is ten times as fast as
	// Matches.
	exact []unique.Handle[label]
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
	made := selector{Selector: valid, size: size}
	if err == nil && len(s.MatchExpressions) == 0 {
		made.exact = newLabelSet(s.MatchLabels).handles
	}
	return made, err
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
func (s *selector) match(set labelSet) match {
	switch {
	case s.cut:
		return unclear
	case s.exact == nil:
		return matchIf(s.Matches(set.Set))
	}
	for _, l := range s.exact {
		if !slices.Contains(set.handles, l) {
			return differs
		}
	}
	return matches
}

// matchNamespace is match for a Namespace. If its labels are not known, only its name is:
// every Namespace has its name as a label.
func (s *selector) matchNamespace(ns namespaceLabels) match {
	if s.cut || ns.known {
		return s.match(ns.labelSet)
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
	labelSet

	known bool
}

// labelSet holds the labels of an object.
type labelSet struct {
	labels.Set

	handles []unique.Handle[label] // of all of them
}

type label struct{ key, value string }

func newLabelSet(set labels.Set) labelSet {
	handles := make([]unique.Handle[label], 0, len(set))
	for key, value := range set {
		handles = append(handles, unique.Make(label{key, value}))
	}
	return labelSet{set, handles}
}
