package resolve

import (
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// wish is what an owner wants about events, by the annotation.
type wish uint8

const (
	unsaid wish = iota
	wanted
	unwanted
)

func wishOf(annotations map[string]string) wish {
	switch annotations[annotationEvents] {
	case "true":
		return wanted
	case "false":
		return unwanted
	}
	return unsaid
}

// namespace holds what is kept of a Namespace.
type namespace struct {
	name, version string
	events        wish
}

// GetObjectMeta gives client-go the key and the version; see pod.GetObjectMeta.
func (n *namespace) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Name: n.name, ResourceVersion: n.version}
}

func (*namespace) cutLists() cuts { return 0 }

func newNamespace(o *corev1.Namespace) *namespace {
	return &namespace{name: strings.Clone(o.Name), version: strings.Clone(o.ResourceVersion), events: wishOf(o.Annotations)}
}

// namespaces holds the namespaces that want no events. One informer updates it, and any
// number of goroutines ask it, for each pod that is looked up.
type namespaces struct {
	mu     sync.RWMutex // guards silent
	silent map[string]struct{}
}

func (s *namespaces) wants(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, no := s.silent[name]
	return !no
}

// set records what a namespace wants.
func (s *namespaces) set(name string, silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !silent:
		delete(s.silent, name)
	case s.silent == nil:
		s.silent = map[string]struct{}{name: {}}
	default:
		s.silent[name] = struct{}{}
	}
}

func (s *namespaces) handler() cache.ResourceEventHandler {
	put := func(obj any) {
		if n, ok := obj.(*namespace); ok {
			s.set(n.name, n.events == unwanted)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    put,
		UpdateFunc: func(_, obj any) { put(obj) },
		DeleteFunc: func(obj any) {
			if last, unseen := obj.(cache.DeletedFinalStateUnknown); unseen {
				obj = last.Obj
			}
			if n, ok := obj.(*namespace); ok {
				s.set(n.name, false)
			}
		},
	}
}
