package policy

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Set holds a cluster's NetworkPolicies and the labels of its Namespaces.
type Set struct {
	now    func() time.Time
	hasher hasher

	mu         sync.RWMutex // guards what follows
	namespaces map[string]*namespace
	policies   int
}

// namespace is what is known of a Namespace.
type namespace struct {
	labels   labels.Set // nil where the Namespace is not known
	policies []held     // by name
	gone     []gone     // the last few, oldest first
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
func (ns *namespace) released(q *asked) int64 {
	for i := range slices.Backward(ns.gone) {
		if g := &ns.gone[i]; g.isolates[q.direction] && g.pods.matches(q.podLabels) {
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
	return &Set{now: now, hasher: hasher{maphash.MakeSeed()}, namespaces: map[string]*namespace{}}
}

// Len returns how many policies there are.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.policies
}

// Put takes a policy in, in place of the one of the same name. One that is new
// to the Set has changed when it was created, as far as is known.
func (s *Set) Put(r *Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespace(r.namespace)
	at, known := ns.find(r.name)
	if !known {
		ns.policies = slices.Insert(ns.policies, at, hold(r, r.created))
		s.policies++
		return
	}
	old := &ns.policies[at]
	if old.same(r) {
		ns.policies[at] = hold(r, old.changed)
		return
	}
	now := s.now().Unix()
	ns.forget(old.Record, now)
	ns.policies[at] = hold(r, now)
}

// Delete forgets a policy.
func (s *Set) Delete(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespaces[namespace]
	if ns == nil {
		return
	}
	if at, known := ns.find(name); known {
		ns.forget(ns.policies[at].Record, s.now().Unix())
		ns.policies = slices.Delete(ns.policies, at, at+1)
		s.policies--
	}
}

// PutNamespace takes in the labels of a Namespace. They must not change.
func (s *Set) PutNamespace(name string, given map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.namespace(name).labels = given
}

// DeleteNamespace forgets a Namespace's labels; its policies are deleted one by
// one.
func (s *Set) DeleteNamespace(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespaces[name]
	switch {
	case ns == nil:
	case len(ns.policies) == 0:
		delete(s.namespaces, name)
	default:
		ns.labels = nil
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

// labelsOf are the labels of a Namespace. One that is not known has the one
// label that every Namespace has.
func (s *Set) labelsOf(name string) labels.Set {
	if ns := s.namespaces[name]; ns != nil && ns.labels != nil {
		return ns.labels
	}
	return labels.Set{corev1.LabelMetadataName: name}
}

func (ns *namespace) find(name string) (int, bool) {
	return slices.BinarySearchFunc(ns.policies, name, func(h held, name string) int { return strings.Compare(h.name, name) })
}
