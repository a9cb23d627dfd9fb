package policy

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Set holds a cluster's NetworkPolicies and the labels of its Namespaces.
type Set struct {
	now      func() time.Time
	overruns atomic.Int64

	mu         sync.RWMutex // guards what follows
	namespaces map[string]*namespace
	policies   int
	cut        int // number of policies that are cut
}

// namespace holds what is known of a Namespace.
type namespace struct {
	labels   labelSet        // Set is nil if the Namespace is not known
	policies []indexedPolicy // sorted by name
	gone     []gone          // the last few, oldest first
}

// indexedPolicy is a policy and the time of its last change, as far as it is known.
type indexedPolicy struct {
	*Compiled

	changed int64 // Unix seconds
}

// gone holds the selector of a policy that was deleted or changed.
type gone struct {
	pods     selector
	isolates [2]bool
	at       int64 // Unix seconds
}

// maxGone bounds how many of these each namespace keeps.
const maxGone = 4

func (ns *namespace) forget(r *Compiled, at int64) {
	if len(ns.gone) == maxGone {
		ns.gone = slices.Delete(ns.gone, 0, 1)
	}
	ns.gone = append(ns.gone, gone{r.pods, r.isolates, at})
}

// released returns the last time when a policy that selected the pod was deleted or
// changed, 0 for never.
func (ns *namespace) released(q *query) int64 {
	for i := range slices.Backward(ns.gone) {
		if g := &ns.gone[i]; g.isolates[q.direction] && g.pods.match(q.podLabels) == matches {
			return g.at
		}
	}
	return 0
}

// NewSet returns an empty Set. now is its clock; nil for time.Now.
func NewSet(now func() time.Time) *Set {
	if now == nil {
		now = time.Now
	}
	return &Set{now: now, namespaces: map[string]*namespace{}}
}

// Len returns the number of policies.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.policies
}

// Cut returns the number of policies that have more rules, peers, ports or selector values
// than were kept.
func (s *Set) Cut() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cut
}

// Overruns returns how often one direction of a flow was not compared with all policies of
// its namespace, because they have too many rules, peers and ports.
func (s *Set) Overruns() int64 { return s.overruns.Load() }

// Put adds a policy, or replaces the one with the same name. If the policy is new to the
// Set, its creation counts as its last change.
func (s *Set) Put(r *Compiled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespace(r.namespace)
	at, known := ns.find(r.name)
	s.count(r, 1)
	if !known {
		ns.policies = slices.Insert(ns.policies, at, indexedPolicy{r, r.created})
		return
	}
	old := ns.policies[at]
	s.count(old.Compiled, -1)
	if old.same(r) {
		ns.policies[at] = indexedPolicy{r, old.changed}
		return
	}
	now := s.now().Unix()
	ns.forget(old.Compiled, now)
	ns.policies[at] = indexedPolicy{r, now}
}

// count updates the counters: by is 1 for an added policy and -1 for a removed one.
func (s *Set) count(r *Compiled, by int) {
	s.policies += by
	if r.cut {
		s.cut += by
	}
}

// Delete removes a policy.
func (s *Set) Delete(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespaces[namespace]
	if ns == nil {
		return
	}
	at, known := ns.find(name)
	if !known {
		return
	}
	s.count(ns.policies[at].Compiled, -1)
	ns.forget(ns.policies[at].Compiled, s.now().Unix())
	ns.policies = slices.Delete(ns.policies, at, at+1)
	s.drop(namespace)
}

// PutNamespace sets the labels of a Namespace. The caller must not change them afterwards.
func (s *Set) PutNamespace(name string, given map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if given == nil {
		given = map[string]string{}
	}
	s.namespace(name).labels = newLabelSet(given)
}

// DeleteNamespace removes the labels of a Namespace. Its policies are deleted one by one,
// before or after that.
func (s *Set) DeleteNamespace(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ns := s.namespaces[name]; ns != nil {
		ns.labels = labelSet{}
		s.drop(name)
	}
}

// drop removes a Namespace that is not known and has no policies. Otherwise the Set would
// grow with every namespace that ever existed.
func (s *Set) drop(name string) {
	if ns := s.namespaces[name]; ns.labels.Set == nil && len(ns.policies) == 0 {
		delete(s.namespaces, name)
	}
}

func (s *Set) namespace(name string) *namespace {
	ns := s.namespaces[name]
	if ns == nil {
		ns = &namespace{}
		s.namespaces[strings.Clone(name)] = ns
	}
	return ns
}

// labelsOf returns the labels of a Namespace. If it is not known, it returns the label that
// every Namespace has.
func (s *Set) labelsOf(name string) namespaceLabels {
	if ns := s.namespaces[name]; ns != nil && ns.labels.Set != nil {
		return namespaceLabels{ns.labels, true}
	}
	return namespaceLabels{newLabelSet(labels.Set{corev1.LabelMetadataName: name}), false}
}

func (ns *namespace) find(name string) (int, bool) {
	return slices.BinarySearchFunc(ns.policies, name, func(e indexedPolicy, name string) int { return strings.Compare(e.name, name) })
}
