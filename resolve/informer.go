package resolve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// maxSilence is the longest time in which a watch may send nothing. The API server sends a
// bookmark about once a minute, so a watch that is silent for longer hangs. It is closed,
// and client-go resumes it.
const maxSilence = 3 * time.Minute

// Source is a resource of the API to list and watch. It is exported for package explain,
// which watches other resources.
type Source struct {
	Client    rest.Interface // of the resource's group
	Resource  string         // "pods"
	Object    runtime.Object
	Transform cache.TransformFunc
	Fields    string // field selector, "" for all objects
	Handler   cache.ResourceEventHandler
	// Without tells people what is missing if the API server forbids this process to read
	// the resource; "" means that nothing works without it.
	Without string
	// Failed, if not nil, is called for each list or watch that failed.
	Failed func()

	follow follower // nil for nobody
}

// Informer lists and watches a Source. Create one with NewInformer.
type Informer struct {
	Source
	log       *slog.Logger
	store     *store
	reflector *cache.Reflector
	running   context.Context //nolint:containedctx // Run's: the reflector lists in a context that never ends

	mu      sync.Mutex  // guards silence
	silence *time.Timer // ends a silent watch; nil without a watch

	forbidden chan struct{} // closed if the API server forbids the resource
	once      sync.Once     // closes it
}

// NewInformer returns an Informer. It does nothing until Run is called.
func NewInformer(s Source, log *slog.Logger) (*Informer, error) {
	if s.Failed == nil {
		s.Failed = func() {}
	}
	if s.Transform == nil || s.Handler == nil {
		return nil, fmt.Errorf("set up the informer of %s: no way to strip or to handle its objects", s.Resource)
	}
	f := &Informer{Source: s, log: log.With("resource", s.Resource), forbidden: make(chan struct{}), running: context.Background()}
	f.store = newStore(s, f)
	lw := &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}
	f.reflector = cache.NewReflectorWithOptions(lw, s.Object, f.store, cache.ReflectorOptions{Name: s.Resource})
	return f, nil
}

// Run lists and watches until ctx ends. It repeats what fails.
func (f *Informer) Run(ctx context.Context) {
	f.running = ctx
	// Errors are reported here. The reflector's own log lines would repeat them.
	f.reflector.RunWithContext(klog.NewContext(ctx, klog.New(nil)))
}

func (f *Informer) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.running, cancel)()
	f.listing()
	o.FieldSelector = f.Fields
	list, err := f.Client.Get().Resource(f.Resource).VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Get()
	if err != nil {
		f.report(err)
	}
	return list, err
}

// watch starts a watch. If the watch sends initial events, it is a list too.
//
// A refused connection and a 429 are passed on unchanged: the reflector backs off, and
// resumes where the last watch ended. For a watch that lists, the reflector would back off
// for up to a minute and ignore its context, so that is done here.
func (f *Informer) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	lists := o.SendInitialEvents != nil && *o.SendInitialEvents
	o.FieldSelector = f.Fields
	o.Watch = true
	pause := wait.Backoff{Duration: 800 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 6, Cap: 30 * time.Second}
	for {
		if lists {
			f.listing()
		}
		w, err := f.Client.Get().Resource(f.Resource).VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
		if err == nil {
			return f.follows(w, lists), nil
		}
		if lists && !resumable(err) {
			return nil, err // the reflector falls back to a plain list
		}
		f.report(err)
		if !lists {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause.Step()):
		}
	}
}

// resumable reports whether the reflector resumes a watch after err.
func resumable(err error) bool {
	return utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)
}

// stream is a watch that reports its end to its Informer. The reflector always stops it.
type stream struct {
	watch.Interface
	ended func()
}

// Stop implements watch.Interface.
func (s *stream) Stop() {
	s.Interface.Stop()
	s.ended()
}

func (f *Informer) follows(w watch.Interface, lists bool) watch.Interface {
	silence := time.AfterFunc(maxSilence, func() {
		f.log.Warn("the watch is silent, without even a bookmark: starting it again", "for", maxSilence)
		w.Stop()
	})
	if lists {
		silence.Stop() // the store receives nothing until the list is complete
	}
	f.mu.Lock()
	f.silence = silence
	f.mu.Unlock()
	f.opened()
	return &stream{Interface: w, ended: sync.OnceFunc(func() {
		silence.Stop()
		f.closed()
	})}
}

// noise records that the watch is not silent.
func (f *Informer) noise() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.silence != nil {
		f.silence.Reset(maxSilence)
	}
}

// The Informer passes on what its store and its watch tell.

func (f *Informer) listing() { f.tell(follower.listing) }
func (f *Informer) opened()  { f.tell(follower.opened) }

func (f *Informer) closed() {
	f.mu.Lock()
	f.silence = nil
	f.mu.Unlock()
	f.tell(follower.closed)
}

func (f *Informer) listed() {
	f.noise()
	f.tell(follower.listed)
}

func (f *Informer) heard() {
	f.noise()
	f.tell(follower.heard)
}

func (f *Informer) marked() {
	f.noise()
	f.tell(follower.marked)
}

func (f *Informer) tell(what func(follower)) {
	if f.follow != nil {
		what(f.follow)
	}
}

// report logs and counts a list or watch that failed. It is repeated.
func (f *Informer) report(err error) {
	if f.running.Err() != nil {
		return
	}
	if errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		f.log.Debug("watch ended", "error", err)
		return
	}
	f.Failed()
	if !apierrors.IsForbidden(err) || f.Without == "" {
		f.log.Warn("cannot list or watch, will try again", "error", err)
		return
	}
	f.once.Do(func() {
		f.log.Warn("not allowed to list and watch: grant both on this resource to the service account in its ClusterRole",
			"without", f.Without, "error", err)
		close(f.forbidden)
	})
}

// Known reports whether everything that existed at the start has been taken in.
func (f *Informer) Known() bool {
	select {
	case <-f.store.known:
		return true
	default:
		return false
	}
}

// Synced reports whether Known is true, or this process may not read the resource.
func (f *Informer) Synced() bool {
	select {
	case <-f.forbidden:
		return true
	default:
		return f.Known()
	}
}

// WaitSynced waits until Synced is true. Its error wraps ctx's.
func (f *Informer) WaitSynced(ctx context.Context) error {
	select {
	case <-f.store.known:
		return nil
	case <-f.forbidden:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the list of %s: %w", f.Resource, ctx.Err())
	}
}
