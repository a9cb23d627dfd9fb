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

// errStopped is the cause of calls that are cancelled because Run's context has
// ended.
var errStopped = errors.New("the emitter stops")

// api makes calls to the API server. Each has its own deadline.
type api struct {
	client  rest.Interface // a client for core/v1
	timeout time.Duration
}

// call sends a request. client-go must neither limit nor repeat it: the correlator
// does both, because it knows what is worth a call.
func (c *api) call(ctx context.Context, req *request) response {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var got corev1.Event
	err := c.restRequest(req).MaxRetries(0).Do(ctx).Into(&got)
	if err == nil && got.Name != req.name {
		err = errNotTheEvent
	}
	if err != nil {
		err = fmt.Errorf("%s event %s/%s: %w", req.op, req.namespace, req.name, err)
	}
	res := classify(ctx, req, err)
	if err == nil && req.op == opAdopt {
		res.count, res.writer, res.first = got.Count, got.Annotations[writerAnnotation], got.FirstTimestamp.Time
	}
	return res
}

func (c *api) restRequest(req *request) *rest.Request {
	if req.op == opPost {
		return c.client.Post().Namespace(req.namespace).Resource("events").Body(req.event)
	}
	return c.client.Patch(types.MergePatchType).Namespace(req.namespace).Resource("events").Name(req.name).Body(req.patch)
}
