package emit

import (
	"context"
	"errors"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Results of calls, for the metric, that are asked for: answered by 429, and
// not answered by the deadline.
const (
	resultThrottled = "throttled"
	resultTimeout   = "timeout"
)

// verdict is what an answer means for a record and the budget.
type verdict uint8

const (
	written       verdict = iota // the API server has it
	exists                       // POST: there is an object with that name
	missing                      // PATCH: the object has gone
	namespaceGone                // refused for good: there is no such namespace
	forbidden                    // refused until somebody changes RBAC
	invalid                      // refused for good: the object is not acceptable
	tired                        // passing: throttled, failed, timed out, not reached
	cancelled                    // the emitter itself ended the call
)

// answer is how a call ended.
type answer struct {
	verdict verdict
	result  string        // for the metric: "ok", "throttled", …
	pause   time.Duration // Retry-After, 0 for none
	count   int32         // opAdopt: the object's count
	writer  string        // opAdopt: the record that wrote it
	first   time.Time     // opAdopt: the object's first time stamp
	err     error         // nil iff written
}

// answerTo tells from an error what became of a call made under ctx.
func answerTo(ctx context.Context, op operation, err error) answer {
	a := answer{err: err}
	switch {
	case err == nil:
		a.verdict, a.result = written, "ok"
	case apierrors.IsAlreadyExists(err) && op == opPost:
		a.verdict, a.result = exists, "exists"
	case apierrors.IsNotFound(err) && op != opPost:
		a.verdict, a.result = missing, "missing"
	case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		a.verdict, a.result = namespaceGone, reasonNamespaceGone
	case apierrors.IsForbidden(err):
		a.verdict, a.result = forbidden, reasonForbidden
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		a.verdict, a.result = invalid, reasonInvalid
	case errors.Is(context.Cause(ctx), errStopped):
		a.verdict, a.result = cancelled, "cancelled"
	default:
		a.verdict, a.result = tired, tiredResult(err)
		if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
			a.pause = time.Duration(seconds) * time.Second
		}
	}
	return a
}

// reached says that the API server itself answered.
func (a *answer) reached() bool {
	var status apierrors.APIStatus
	return errors.As(a.err, &status)
}

// tiredResult names a passing failure for the metric.
func tiredResult(err error) string {
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
		return "unauthorized"
	case code == http.StatusGatewayTimeout:
		return resultTimeout
	case code >= http.StatusInternalServerError:
		return "server_error"
	}
	return "other"
}
