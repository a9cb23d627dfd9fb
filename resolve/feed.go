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

// source is one resource to list and watch.
type source struct {
	resource string // "pods"
	object   runtime.Object
	strip    cache.TransformFunc
	fields   string // field selector, "" for all objects
	handler  cache.ResourceEventHandler
	// required says that nothing is resolved without it. What is not required
	// may be forbidden to this process.
	required bool
	// listing and watching are called before each list of everything, and
	// after each watch that goes on where the last one ended; nil for nothing.
	listing, watching func()
}

// feed is a source's informer.
type feed struct {
	source
	client   rest.Interface
	log      *slog.Logger
	failed   func() // counts a failed list or watch
	informer cache.SharedIndexInformer
	handled  cache.ResourceEventHandlerRegistration

	forbidden chan struct{} // closed when the API server forbids it
	once      sync.Once     // closes it
}

// newFeed makes the informer, which does nothing until it runs.
func newFeed(s source, client rest.Interface, log *slog.Logger, failed func()) (*feed, error) {
	f := &feed{source: s, client: client, log: log.With("resource", s.resource), failed: failed, forbidden: make(chan struct{})}
	lw := &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}
	f.informer = cache.NewSharedIndexInformerWithOptions(lw, s.object, cache.SharedIndexInformerOptions{})
	err := errors.Join(
		f.informer.SetTransform(s.strip),
		f.informer.SetWatchErrorHandlerWithContext(f.report),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the %s informer: %w", s.resource, err)
	}
	f.handled, err = f.informer.AddEventHandler(s.handler)
	if err != nil {
		return nil, fmt.Errorf("set up the %s informer: %w", s.resource, err)
	}
	return f, nil
}

func (f *feed) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if f.listing != nil {
		f.listing()
	}
	o.FieldSelector = f.fields
	list, err := f.client.Get().Resource(f.resource).VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Get()
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
func (f *feed) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	lists := o.SendInitialEvents != nil && *o.SendInitialEvents
	if lists && f.listing != nil {
		f.listing()
	}
	o.FieldSelector = f.fields
	o.Watch = true
	w, err := f.client.Get().Resource(f.resource).VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
	if err == nil && !lists && f.watching != nil {
		f.watching()
	}
	return w, hidden(err)
}

// report takes client-go's word of a list or watch that failed; it tries again
// by itself.
func (f *feed) report(_ context.Context, _ *cache.Reflector, err error) {
	if errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		f.log.Debug("watch ended", "error", err)
		return
	}
	f.failed()
	if !apierrors.IsForbidden(err) || f.required {
		f.log.Warn("cannot list or watch, will try again", "error", err)
		return
	}
	f.once.Do(func() {
		f.log.Warn("not allowed to list and watch; going on without their names."+
			" Grant list and watch on this resource to the service account in its ClusterRole", "error", err)
		close(f.forbidden)
	})
}

// synced says whether everything there was at the start has been taken in.
func (f *feed) synced() bool {
	if f.handled.HasSynced() {
		return true
	}
	select {
	case <-f.forbidden:
		return true
	default:
		return false
	}
}

// wait waits until synced would be true.
func (f *feed) wait(ctx context.Context) error {
	select {
	case <-f.handled.HasSyncedChecker().Done():
		return nil
	case <-f.forbidden:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the list of %s: %w", f.resource, ctx.Err())
	}
}
