package resolve

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// TestFeedRefused checks that an Informer reports an API server that refuses connections, and
// ends with its context.
func TestFeedRefused(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	client, err := rest.RESTClientFor(&rest.Config{
		Host: "http://" + l.Addr().String(), APIPath: "/api",
		ContentConfig: rest.ContentConfig{GroupVersion: &corev1.SchemeGroupVersion, NegotiatedSerializer: serializer.NewCodecFactory(runtime.NewScheme())},
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan struct{}, 1)
	f, err := NewInformer(Source{
		Client: client, Resource: "pods", Object: &corev1.Pod{}, Handler: cache.ResourceEventHandlerFuncs{},
		Transform: func(obj any) (any, error) { return obj, nil },
		Failed: func() {
			select {
			case failed <- struct{}{}:
			default:
			}
		},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	within(t, "failed", failed)
	if f.Synced() || f.Known() {
		t.Error("it is known what there was at the start")
	}
	cancel()
	within(t, "ended", ended)
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("it has not %s after 10 s", what)
	}
}
