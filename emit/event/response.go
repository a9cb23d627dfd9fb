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

// Results of calls for the metric that the code compares: answered with 429, and not
// answered in time.
const (
	resultThrottled = "throttled"
	resultTimeout   = "timeout"
	resultForeign   = "unexpected" // not answered by the API server
	// The API server does not accept the agent's credentials.
	resultUnauthorized = "unauthorized"
)

// responseClass is what a response means for an entry and the limiter.
type responseClass uint8

const (
	written       responseClass = iota // the API server has it
	exists                             // POST: an object with that name exists
	missing                            // PATCH: the object does not exist any more
	namespaceGone                      // refused for good: the namespace does not exist
	forbidden                          // refused until RBAC changes
	invalid                            // refused for good: the object is not valid
	temporary                          // temporary: throttled, failed, timed out, not reached
	cancelled                          // this process ended the call
)

// response is the result of a call.
type response struct {
	class  responseClass
	result string        // for the metric: "ok", "throttled", …
	pause  time.Duration // Retry-After, 0 for none
	count  int32         // opAdopt: the object's count
	writer string        // opAdopt: the entry that wrote it
	first  time.Time     // opAdopt: the object's first time stamp
	err    error         // nil iff the class is written
}

// errNotTheEvent is the error of a successful response that is not the event.
var errNotTheEvent = errors.New("the answer is not the event that was written")

// classify returns the response of a request's call with an error, made under ctx. Only a
// response of the API server itself gives up packets. One of a proxy or a load balancer is
// a temporary failure.
func classify(ctx context.Context, j *request, err error) response {
	a := response{err: err}
	switch {
	case err == nil:
		a.class, a.result = written, "ok"
	case foreign(err):
		a.class, a.result = temporary, temporaryResult(err)
	case apierrors.IsAlreadyExists(err) && j.op == opPost:
		a.class, a.result = exists, "exists"
	case isMissing(err, "events", j.name) && j.op != opPost:
		a.class, a.result = missing, "missing"
	case isMissing(err, "namespaces", j.namespace), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		a.class, a.result = namespaceGone, reasonNamespaceGone
	case apierrors.IsForbidden(err):
		a.class, a.result = forbidden, reasonForbidden
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		a.class, a.result = invalid, reasonInvalid
	case errors.Is(context.Cause(ctx), errStopped):
		a.class, a.result = cancelled, "cancelled"
	default:
		a.class, a.result = temporary, temporaryResult(err)
	}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok && a.class == temporary {
		a.pause = time.Duration(seconds) * time.Second
	}
	return a
}

// foreign reports whether the body of a response is not a Status. The API server always
// sends a Status. A proxy, a load balancer, or a web server at the same address does not.
func foreign(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isMissing reports whether the API server says that this object does not exist. Its 404
// names the object. The 404 of another server, or for an unknown path, does not.
func isMissing(err error, resource, name string) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	d := status.Status().Details
	return d != nil && d.Kind == resource && d.Name == name
}

// overloaded reports whether a failure shows that the API server has too much to do, and
// not that it was not reached.
func (a *response) overloaded() bool {
	var status apierrors.APIStatus
	if !errors.As(a.err, &status) {
		return a.result == resultTimeout
	}
	return a.result != resultForeign
}

// temporaryResult returns the result of a temporary failure for the metric.
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
