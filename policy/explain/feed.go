package explain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kube-nflog/kube-nflog/policy"
)

// source is one resource to list and watch.
type source struct {
	client   rest.Interface
	resource string
	object   runtime.Object
	strip    cache.TransformFunc
	handler  cache.ResourceEventHandler
}

// feed is a source's informer.
type feed struct {
	source
	log      *slog.Logger
	informer cache.SharedIndexInformer
	handled  cache.ResourceEventHandlerRegistration

	forbidden chan struct{} // closed when the API server forbids it
	once      sync.Once     // closes it
}

// policySource keeps records of policies in the informer's store, which the
// set shares.
func (e *Explainer) policySource(client rest.Interface) source {
	put := func(obj any) {
		if r, ok := obj.(*policy.Record); ok {
			e.policies.Put(r)
		}
	}
	return source{
		client: client, resource: "networkpolicies", object: &networkingv1.NetworkPolicy{},
		strip: func(obj any) (any, error) {
			o, ok := obj.(*networkingv1.NetworkPolicy)
			if !ok {
				return obj, nil // a record already
			}
			r, err := e.policies.NewRecord(o)
			if err != nil {
				e.cfg.Logger.Warn("a part of a NetworkPolicy is invalid and matches nothing", "error", err)
			}
			return r, nil
		},
		handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    put,
			UpdateFunc: func(_, obj any) { put(obj) },
			DeleteFunc: func(obj any) {
				if namespace, name, ok := keyOf(obj); ok {
					e.policies.Delete(namespace, name)
				}
			},
		},
	}
}

// namespaceSource keeps the names and labels of namespaces.
func (e *Explainer) namespaceSource(client rest.Interface) source {
	put := func(obj any) {
		if o, ok := obj.(*metav1.PartialObjectMetadata); ok {
			e.policies.PutNamespace(o.Name, o.Labels)
		}
	}
	return source{
		client: client, resource: "namespaces", object: &corev1.Namespace{},
		strip: func(obj any) (any, error) {
			o, ok := obj.(*corev1.Namespace)
			if !ok {
				return obj, nil
			}
			return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
				Name: strings.Clone(o.Name), ResourceVersion: o.ResourceVersion, Labels: o.Labels,
			}}, nil
		},
		handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    put,
			UpdateFunc: func(_, obj any) { put(obj) },
			DeleteFunc: func(obj any) {
				if _, name, ok := keyOf(obj); ok {
					e.policies.DeleteNamespace(name)
				}
			},
		},
	}
}

func keyOf(obj any) (namespace, name string, ok bool) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return "", "", false
	}
	namespace, name, err = cache.SplitMetaNamespaceKey(key)
	return namespace, name, err == nil
}

// newFeed makes the informer, which does nothing until it runs.
func newFeed(s source, log *slog.Logger) (*feed, error) {
	f := &feed{source: s, log: log.With("resource", s.resource), forbidden: make(chan struct{})}
	lw := &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}
	f.informer = cache.NewSharedIndexInformerWithOptions(lw, s.object, cache.SharedIndexInformerOptions{})
	err := errors.Join(f.informer.SetTransform(s.strip), f.informer.SetWatchErrorHandlerWithContext(f.report))
	if err == nil {
		f.handled, err = f.informer.AddEventHandler(s.handler)
	}
	if err != nil {
		return nil, fmt.Errorf("set up the %s informer: %w", s.resource, err)
	}
	return f, nil
}

func (f *feed) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	return f.client.Get().Resource(f.resource).VersionedParams(&o, metav1.ParameterCodec).Do(ctx).Get()
}

func (f *feed) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	return f.client.Get().Resource(f.resource).VersionedParams(&o, metav1.ParameterCodec).Watch(ctx)
}

// report takes client-go's word of a list or watch that failed; it tries again
// by itself.
func (f *feed) report(_ context.Context, _ *cache.Reflector, err error) {
	switch {
	case errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err):
		f.log.Debug("watch ended", "error", err)
	case apierrors.IsForbidden(err):
		f.once.Do(func() {
			f.log.Warn("not allowed to list and watch; going on without NetworkPolicies in explanations."+
				" Grant list and watch on this resource to the service account, or turn this off by --explain=false", "error", err)
			close(f.forbidden)
		})
	default:
		f.log.Warn("cannot list or watch, will try again", "error", err)
	}
}

func (f *feed) isForbidden() bool {
	select {
	case <-f.forbidden:
		return true
	default:
		return false
	}
}

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
