package resolve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Source is one resource of the API to list and watch. It is exported for the
// package explain, which watches what this one does not.
type Source struct {
	Client   rest.Interface // of the resource's group
	Resource string         // "pods"
	Object   runtime.Object
	Strip    cache.TransformFunc
	Fields   string // field selector, "" for all objects
	Handler  cache.ResourceEventHandler
	// Without is what is missing where the API server forbids this process to
	// read the resource, for people; "" says that nothing works without it.
	Without string
	// Failed is called for each list or watch that failed. Listing and Watching
	// are called before each list of everything, and after each watch that goes
	// on where the last one ended. All may be nil.
	Failed, Listing, Watching func()
}

// Feed is a Source's informer. Make one with NewFeed.
type Feed struct {
	Source
	log      *slog.Logger
	informer cache.SharedIndexInformer
	handled  cache.ResourceEventHandlerRegistration

	forbidden chan struct{} // closed when the API server forbids it
	once      sync.Once     // closes it
}

// NewFeed makes the informer, which does nothing until it runs.
func NewFeed(s Source, log *slog.Logger) (*Feed, error) {
	for _, f := range []*func(){&s.Failed, &s.Listing, &s.Watching} {
		if *f == nil {
			*f = func() {}
		}
	}
	f := &Feed{Source: s, log: log.With("resource", s.Resource), forbidden: make(chan struct{})}
	lw := &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}
	f.informer = cache.NewSharedIndexInformerWithOptions(lw, s.Object, cache.SharedIndexInformerOptions{})
	err := errors.Join(
		f.informer.SetTransform(s.Strip),
		f.informer.SetWatchErrorHandlerWithContext(f.report),
	)
	if err == nil {
		f.handled, err = f.informer.AddEventHandler(s.Handler)
	}
	if err != nil {
		return nil, fmt.Errorf("set up the %s informer: %w", s.Resource, err)
	}
	return f, nil
}

// Run lists and watches until ctx ends; what fails is tried again.
func (f *Feed) Run(ctx context.Context) { f.informer.RunWithContext(ctx) }

func (f *Feed) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	f.Listing()
	o.FieldSelector = f.Fields
	list, err := f.Client.Get().Resource(f.Resource).VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Get()
	return list, hidden(err)
}

// hidden hides from client-go that the API server refused the connection or had
// too much to do: of those it tells nobody while it tries again, and it sleeps
// through the end of its context.
func hidden(err error) error {
	if err != nil && (utilnet.IsConnectionRefused(err) || apierrors.IsTooManyRequests(err)) {
		return fmt.Errorf("API server: %v", err) //nolint:errorlint // hidden on purpose
	}
	return err
}

// watch starts a watch, which is a list as well where it sends initial events.
func (f *Feed) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	lists := o.SendInitialEvents != nil && *o.SendInitialEvents
	if lists {
		f.Listing()
	}
	o.FieldSelector = f.Fields
	o.Watch = true
	w, err := f.Client.Get().Resource(f.Resource).VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
	if err == nil && !lists {
		f.Watching()
	}
	return w, hidden(err)
}

// report takes client-go's word of a list or watch that failed; it tries again
// by itself.
func (f *Feed) report(_ context.Context, _ *cache.Reflector, err error) {
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

// Known says whether everything there was at the start has been taken in.
func (f *Feed) Known() bool { return f.handled.HasSynced() }

// Synced says whether it is known, or forbidden to this process.
func (f *Feed) Synced() bool {
	if f.Known() {
		return true
	}
	select {
	case <-f.forbidden:
		return true
	default:
		return false
	}
}

// WaitSynced waits until Synced is true. Its error wraps ctx's.
func (f *Feed) WaitSynced(ctx context.Context) error {
	select {
	case <-f.handled.HasSyncedChecker().Done():
		return nil
	case <-f.forbidden:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the list of %s: %w", f.Resource, ctx.Err())
	}
}
