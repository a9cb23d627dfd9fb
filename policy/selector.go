package policy

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// selector is a label selector, ready to be asked thousands of times about the
// same few labels.
type selector struct {
	// bits are set for the labels that must be there.
	bits         uint64
	requirements []requirement
	nothing      bool // it selects nothing
}

// requirement is about one key.
type requirement struct {
	operator operator
	// hash is the label's whose presence decides, or the key's; more are those
	// of the other labels, where it is one of several.
	hash uint64
	more []uint64

	key    string // for people, as values
	values []string
}

type operator uint8

const (
	in operator = iota
	notIn
	exists
	missing
)

// selector compiles what a policy says. An invalid one selects nothing.
func (h hasher) selector(s *metav1.LabelSelector) (selector, error) {
	valid, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return selector{nothing: true}, err
	}
	requirements, selectable := valid.Requirements()
	made := selector{nothing: !selectable, requirements: make([]requirement, 0, len(requirements))}
	for i := range requirements {
		r := h.requirement(&requirements[i])
		if r.isLabel() {
			made.bits |= bit(r.hash)
		}
		made.requirements = append(made.requirements, r)
	}
	return made, nil
}

func (h hasher) requirement(given *labels.Requirement) requirement {
	r := requirement{key: strings.Clone(given.Key())}
	switch given.Operator() {
	case selection.Equals, selection.DoubleEquals, selection.In:
		r.operator = in
	case selection.NotEquals, selection.NotIn:
		r.operator = notIn
	case selection.Exists:
		r.operator = exists
	default:
		r.operator = missing
	}
	r.hash = h.key(r.key)
	var all []uint64
	for _, v := range given.Values().List() {
		r.values = append(r.values, strings.Clone(v))
		all = append(all, h.label(r.hash, v))
	}
	if len(all) > 0 {
		r.hash, r.more = all[0], all[1:]
	}
	return r
}

// isLabel says that it asks for one label and no more.
func (r *requirement) isLabel() bool { return r.operator == in && len(r.more) == 0 }

// empty says that it selects everything.
func (s *selector) empty() bool { return !s.nothing && len(s.requirements) == 0 }

func (s *selector) matches(l *labelling) bool {
	if s.nothing || s.bits&^l.bits != 0 {
		return false
	}
	for i := range s.requirements {
		if !s.requirements[i].matches(l) {
			return false
		}
	}
	return true
}

func (r *requirement) matches(l *labelling) bool {
	switch r.operator {
	case in:
		return l.hasAny(r)
	case notIn:
		return !l.hasAny(r)
	case exists:
		return l.hasKey(r.hash)
	}
	return !l.hasKey(r.hash)
}

// String returns the selector as kubectl takes it: "app=api,tier in (a,b),!x".
func (s *selector) String() string {
	texts := make([]string, 0, len(s.requirements))
	for i := range s.requirements {
		texts = append(texts, s.requirements[i].String())
	}
	return strings.Join(texts, ",")
}

func (r *requirement) String() string {
	switch r.operator {
	case in:
		if len(r.values) == 1 {
			return r.key + "=" + r.values[0]
		}
		return r.key + " in (" + strings.Join(r.values, ",") + ")"
	case notIn:
		return r.key + " notin (" + strings.Join(r.values, ",") + ")"
	case exists:
		return r.key
	}
	return "!" + r.key
}

// labelling are labels made to be matched by selectors.
type labelling struct {
	bits   uint64 // those of all labels
	labels []label
}

// label is one by its hashes: of the key, and of key and value.
type label struct{ key, all uint64 }

func (l *labelling) has(all uint64) bool {
	for i := range l.labels {
		if l.labels[i].all == all {
			return true
		}
	}
	return false
}

func (l *labelling) hasAny(r *requirement) bool {
	return l.has(r.hash) || len(r.more) > 0 && slices.ContainsFunc(r.more, l.has)
}

func (l *labelling) hasKey(key uint64) bool {
	for i := range l.labels {
		if l.labels[i].key == key {
			return true
		}
	}
	return false
}

// hasher compares labels in place of their texts. Its seed is a secret of this
// process, so nobody can choose labels that are mistaken for others; by chance
// two are once in 10^19.
type hasher struct{ seed maphash.Seed }

func (h hasher) key(key string) uint64 { return maphash.String(h.seed, key) }

func (h hasher) label(key uint64, value string) uint64 {
	return key ^ bits.RotateLeft64(maphash.String(h.seed, value), 32)
}

// labelling takes labels in, into the room given.
func (h hasher) labelling(set labels.Set, room []label) labelling {
	l := labelling{labels: room[:0]}
	for k, value := range set {
		key := h.key(k)
		all := h.label(key, value)
		l.bits |= bit(all)
		l.labels = append(l.labels, label{key, all})
	}
	return l
}
