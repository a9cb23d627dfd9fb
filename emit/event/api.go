package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// errStopped is the cause that ends calls in flight when Run's context ends.
var errStopped = errors.New("the emitter stops")

// api makes one call for a request, with its own deadline.
type api struct {
	client  rest.Interface // a client for core/v1
	timeout time.Duration
}

// call makes a request's call. client-go must neither limit nor repeat it. The correlator
// does both, because it knows which calls are useful.
func (c *api) call(ctx context.Context, j *request) response {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var got corev1.Event
	err := c.restRequest(j).MaxRetries(0).Do(ctx).Into(&got)
	if err == nil && got.Name != j.name {
		err = errNotTheEvent
	}
	if err != nil {
		err = fmt.Errorf("%s event %s/%s: %w", j.op, j.namespace, j.name, err)
	}
	a := classify(ctx, j, err)
	if err == nil && j.op == opAdopt {
		a.count, a.writer, a.first = got.Count, got.Annotations[writerAnnotation], got.FirstTimestamp.Time
	}
	return a
}

func (c *api) restRequest(j *request) *rest.Request {
	if j.op == opPost {
		return c.client.Post().Namespace(j.namespace).Resource("events").Body(j.event)
	}
	return c.client.Patch(types.MergePatchType).Namespace(j.namespace).Resource("events").Name(j.name).Body(j.patch)
}
