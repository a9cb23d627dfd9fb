package event

import (
	"context"
	"errors"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Results of calls, for the metric, that the code compares with.
const (
	resultThrottled    = "throttled"    // status 429
	resultTimeout      = "timeout"      // no response by the deadline
	resultForeign      = "unexpected"   // not a response of the API server
	resultUnauthorized = "unauthorized" // the API server does not accept the agent's credentials
)

// responseClass is what a response means for an entry and the limiter.
type responseClass uint8

const (
	written       responseClass = iota // the API server has it
	exists                             // POST: there is an object with that name
	missing                            // PATCH: the object has gone
	namespaceGone                      // refused for good: there is no such namespace
	forbidden                          // refused until somebody changes RBAC
	invalid                            // refused for good: the object is not acceptable
	temporary                          // may succeed later: throttled, failed, timed out, not reached
	cancelled                          // the Sink itself ended the call
)

// response is how a call ended.
type response struct {
	class  responseClass
	result string        // for the metric: "ok", "throttled", …
	pause  time.Duration // Retry-After, 0 for none
	count  int32         // opAdopt: the object's count
	writer string        // opAdopt: the entry that wrote it
	first  time.Time     // opAdopt: the object's first time stamp
	err    error         // nil iff the class is written
}

// errNotTheEvent is the error of a response that reports success, but is not the
// event.
var errNotTheEvent = errors.New("the answer is not the event that was written")

// classify finds the class of a response from the error of a call made under ctx.
// A response that is not the API server's own, but of a proxy or a load balancer,
// is temporary: it must not end the count of an event.
func classify(ctx context.Context, req *request, err error) response {
	res := response{err: err}
	switch {
	case err == nil:
		res.class, res.result = written, "ok"
	case foreign(err):
		res.class, res.result = temporary, temporaryResult(err)
	case apierrors.IsAlreadyExists(err) && req.op == opPost:
		res.class, res.result = exists, "exists"
	case isMissing(err, "events", req.name) && req.op != opPost:
		res.class, res.result = missing, "missing"
	case isMissing(err, "namespaces", req.namespace), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		res.class, res.result = namespaceGone, reasonNamespaceGone
	case apierrors.IsForbidden(err):
		res.class, res.result = forbidden, reasonForbidden
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		res.class, res.result = invalid, reasonInvalid
	case errors.Is(context.Cause(ctx), errStopped):
		res.class, res.result = cancelled, "cancelled"
	default:
		res.class, res.result = temporary, temporaryResult(err)
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok && res.class == temporary {
		res.pause = time.Duration(seconds) * time.Second
	}
	return res
}

// foreign reports whether the body of the response is not a Status. The API server
// always sends a Status. A proxy, a load balancer or another web server does not.
func foreign(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isMissing reports whether the API server says that exactly this object does not
// exist. Its 404 names the object. A 404 of another server, or for a path that is
// not served, does not.
func isMissing(err error, resource, name string) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	d := status.Status().Details
	return d != nil && d.Kind == resource && d.Name == name
}

// overloaded reports whether a failure shows that the API server has too much to
// do. Otherwise it was not reached.
func (res *response) overloaded() bool {
	var status apierrors.APIStatus
	if !errors.As(res.err, &status) {
		return res.result == resultTimeout
	}
	return res.result != resultForeign
}

// temporaryResult names a temporary failure for the metric.
func temporaryResult(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		if errors.Is(err, context.DeadlineExceeded) {
			return resultTimeout
		}
		return "unreachable"
	}
	switch code := int(status.Status().Code); {
	case code == http.StatusTooManyRequests:
		return resultThrottled
	case code == http.StatusUnauthorized:
		return resultUnauthorized
	case code == http.StatusGatewayTimeout:
		return resultTimeout
	case code >= http.StatusInternalServerError:
		return "server_error"
	case foreign(err):
		return resultForeign
	}
	return "other"
}
