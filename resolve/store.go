package resolve

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/cache"
)

// store receives what a reflector lists and watches, and calls the handler in the same
// goroutine. When a call returns, the handler has seen the change. An informer's handlers
// run some time later, so nobody would know what has been taken in. Only the reflector's
// goroutine may use it.
type store struct {
	strip   cache.TransformFunc
	handler cache.ResourceEventHandler
	follow  follower
	known   chan struct{} // closed after the first list
	objects map[string]any
}

// follower is told about the progress of an informer. The calls come in the order of the events,
// but not from one goroutine.
type follower interface {
	listing() // a list of everything is about to be requested
	listed()  // the list has been taken in
	opened()  // the API server answered a watch
	closed()  // the watch has ended
	heard()   // a change that the watch sent has been taken in
	marked()  // everything up to a bookmark has been taken in
}

func newStore(s Source, follow follower) *store {
	return &store{strip: s.Transform, handler: s.Handler, follow: follow, known: make(chan struct{}), objects: map[string]any{}}
}

// Transformer lets the reflector strip objects before it collects them.
func (s *store) Transformer() cache.TransformFunc { return s.strip }

// Add takes in an object of a watch.
func (s *store) Add(obj any) error {
	key, now, err := s.stripped(obj)
	if err != nil {
		return err
	}
	s.put(key, now, false)
	s.follow.heard()
	return nil
}

// Update takes in a change of a watch.
func (s *store) Update(obj any) error { return s.Add(obj) }

// Delete takes in a deletion of a watch.
func (s *store) Delete(obj any) error {
	key, last, err := s.stripped(obj)
	if err != nil {
		return err
	}
	if _, ok := s.objects[key]; ok {
		delete(s.objects, key)
		s.handler.OnDelete(last)
	}
	s.follow.heard()
	return nil
}

// Replace takes in a list of everything.
func (s *store) Replace(list []any, _ string) error {
	listed := make(map[string]struct{}, len(list))
	for i := range list {
		key, now, err := s.stripped(list[i])
		if err != nil {
			return err
		}
		list[i] = nil // the garbage collector may free the list of a large cluster piece by piece
		listed[key] = struct{}{}
		if old, ok := s.objects[key]; ok && sameVersion(old, now) {
			continue // the handler has the old one
		}
		s.put(key, now, true)
	}
	for key, last := range s.objects {
		if _, ok := listed[key]; !ok {
			delete(s.objects, key)
			s.handler.OnDelete(cache.DeletedFinalStateUnknown{Key: key, Obj: last})
		}
	}
	s.follow.listed()
	select {
	case <-s.known:
	default:
		close(s.known)
	}
	return nil
}

// Bookmark records that the watch has sent everything up to a version.
func (s *store) Bookmark(string) error {
	s.follow.marked()
	return nil
}

// Resync does nothing, because no handler needs it.
func (*store) Resync() error { return nil }

func (s *store) stripped(obj any) (key string, now any, err error) {
	if now, err = s.strip(obj); err != nil {
		return "", nil, err
	}
	if key, err = cache.MetaNamespaceKeyFunc(now); err != nil {
		return "", nil, fmt.Errorf("key of a %T: %w", now, err)
	}
	return key, now, nil
}

func (s *store) put(key string, now any, list bool) {
	old, ok := s.objects[key]
	s.objects[key] = now
	if ok {
		s.handler.OnUpdate(old, now)
		return
	}
	s.handler.OnAdd(now, list)
}

func sameVersion(a, b any) bool {
	x, err := meta.Accessor(a)
	if err != nil {
		return false
	}
	y, err := meta.Accessor(b)
	return err == nil && x.GetUID() == y.GetUID() && x.GetResourceVersion() == y.GetResourceVersion()
}
