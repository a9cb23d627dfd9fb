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
	cut        int // policies that are cut
}

// namespace is what is known of a Namespace.
type namespace struct {
	labels   labels.Set    // nil where the Namespace is not known
	policies []policyEntry // by name
	gone     []gone        // the last few, oldest first
}

// policyEntry is a policy and when it changed last, as far as that is known.
type policyEntry struct {
	*Record

	changed int64 // Unix seconds
}

// gone is whom a policy selected that was deleted or changed.
type gone struct {
	pods     selector
	isolates [2]bool
	at       int64 // Unix seconds
}

// maxGone bounds how many are remembered of each namespace.
const maxGone = 4

func (ns *namespace) forget(r *Record, at int64) {
	if len(ns.gone) == maxGone {
		ns.gone = slices.Delete(ns.gone, 0, 1)
	}
	ns.gone = append(ns.gone, gone{r.pods, r.isolates, at})
}

// released is when a policy that selected the pod went last, 0 for never.
func (ns *namespace) released(q *query) int64 {
	for i := range slices.Backward(ns.gone) {
		if g := &ns.gone[i]; g.isolates[q.direction] && g.pods.match(q.pod.Labels) == matches {
			return g.at
		}
	}
	return 0
}

// NewSet returns an empty Set; now is its clock, nil for time.Now.
func NewSet(now func() time.Time) *Set {
	if now == nil {
		now = time.Now
	}
	return &Set{now: now, namespaces: map[string]*namespace{}}
}

// Len returns how many policies there are.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.policies
}

// Cut returns how many policies there are that have more rules, peers, ports or
// selector values than are kept.
func (s *Set) Cut() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cut
}

// Overruns returns how often one direction of a flow was not compared with all
// policies of its namespace, as they have too many rules, peers and ports.
func (s *Set) Overruns() int64 { return s.overruns.Load() }

// Put takes a policy in, in place of the one of the same name. One that is new
// to the Set has changed when it was created, as far as is known.
func (s *Set) Put(r *Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespace(r.namespace)
	at, known := ns.find(r.name)
	s.count(r, 1)
	if !known {
		ns.policies = slices.Insert(ns.policies, at, policyEntry{r, r.created})
		return
	}
	old := ns.policies[at]
	s.count(old.Record, -1)
	if old.same(r) {
		ns.policies[at] = policyEntry{r, old.changed}
		return
	}
	now := s.now().Unix()
	ns.forget(old.Record, now)
	ns.policies[at] = policyEntry{r, now}
}

// count counts a policy that came, 1, or went, -1.
func (s *Set) count(r *Record, by int) {
	s.policies += by
	if r.cut {
		s.cut += by
	}
}

// Delete forgets a policy.
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
	s.count(ns.policies[at].Record, -1)
	ns.forget(ns.policies[at].Record, s.now().Unix())
	ns.policies = slices.Delete(ns.policies, at, at+1)
	s.drop(namespace)
}

// PutNamespace takes in the labels of a Namespace. They must not change.
func (s *Set) PutNamespace(name string, given map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if given == nil {
		given = map[string]string{}
	}
	s.namespace(name).labels = given
}

// DeleteNamespace forgets a Namespace's labels; its policies are deleted one by
// one, before or after.
func (s *Set) DeleteNamespace(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ns := s.namespaces[name]; ns != nil {
		ns.labels = nil
		s.drop(name)
	}
}

// drop forgets a Namespace that is not known and has no policies, so that the
// Set does not grow with every namespace that there ever was.
func (s *Set) drop(name string) {
	if ns := s.namespaces[name]; ns.labels == nil && len(ns.policies) == 0 {
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

// labelsOf returns the labels of a Namespace. Of one that is not known it returns
// the one label that every Namespace has.
func (s *Set) labelsOf(name string) namespaceLabels {
	if ns := s.namespaces[name]; ns != nil && ns.labels != nil {
		return namespaceLabels{ns.labels, true}
	}
	return namespaceLabels{labels.Set{corev1.LabelMetadataName: name}, false}
}

func (ns *namespace) find(name string) (int, bool) {
	return slices.BinarySearchFunc(ns.policies, name, func(e policyEntry, name string) int { return strings.Compare(e.name, name) })
}
