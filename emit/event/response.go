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

// Results of calls, for the metric, that are asked for: answered by 429, and
// not answered by the deadline.
const (
	resultThrottled = "throttled"
	resultTimeout   = "timeout"
	resultForeign   = "unexpected" // not answered by the API server
	// The API server does not accept the agent's credentials.
	resultUnauthorized = "unauthorized"
)

// verdict is what an answer means for an entry and the limiter.
type responseClass uint8

const (
	written       responseClass = iota // the API server has it
	exists                             // POST: there is an object with that name
	missing                            // PATCH: the object has gone
	namespaceGone                      // refused for good: there is no such namespace
	forbidden                          // refused until somebody changes RBAC
	invalid                            // refused for good: the object is not acceptable
	temporary                          // passing: throttled, failed, timed out, not reached
	cancelled                          // the emitter itself ended the call
)

// answer is how a call ended.
type response struct {
	class  responseClass
	result string        // for the metric: "ok", "throttled", …
	pause  time.Duration // Retry-After, 0 for none
	count  int32         // opAdopt: the object's count
	writer string        // opAdopt: the entry that wrote it
	first  time.Time     // opAdopt: the object's first time stamp
	err    error         // nil iff written
}

// errNotTheEvent is why an answer of success is none: it is not the event.
var errNotTheEvent = errors.New("the answer is not the event that was written")

// classify tells from an error what became of a request's call made under ctx.
// Nothing is given up because of an answer that is not the API server's own:
// one of a proxy or a load balancer on the way is a passing failure.
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

// foreign reports whether an answer came whose body is not a Status. The API
// server always sends one; a proxy, a load balancer or a web server that took
// its place does not.
func foreign(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// isMissing reports whether the API server says that this very object does not
// exist. Its 404 names the object; another server's, or one for a path that is
// not served, does not.
func isMissing(err error, resource, name string) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	d := status.Status().Details
	return d != nil && d.Kind == resource && d.Name == name
}

// overloaded reports whether a failure tells that the API server has too much
// to do, rather than that it was not reached.
func (a *response) overloaded() bool {
	var status apierrors.APIStatus
	if !errors.As(a.err, &status) {
		return a.result == resultTimeout
	}
	return a.result != resultForeign
}

// temporaryResult names a passing failure for the metric.
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
