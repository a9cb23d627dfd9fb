package event

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// TestOnlyTheAPIServerEndsARecord sends a request's call through client-go and
// holds that a response which gives up an entry, or makes it begin anew, is the
// API server's own.
func TestOnlyTheAPIServerEndsARecord(t *testing.T) {
	const html = "<html><body><h1>It works</h1></body></html>"
	status := func(err *apierrors.StatusError) string {
		err.ErrStatus.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		b, marshalErr := json.Marshal(err.ErrStatus)
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		return string(b)
	}
	bare := func(code int) string {
		return status(&apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: int32(code), Message: "no such cluster"}})
	}
	for _, tt := range []struct {
		name   string
		op     operation
		code   int
		body   string
		want   responseClass
		result string
	}{
		{"its 404 for the event", opPatch, 404, status(apierrors.NewNotFound(eventsResource, "api.1")), missing, "missing"},
		{"its 404 for the event, adopting", opAdopt, 404, status(apierrors.NewNotFound(eventsResource, "api.1")), missing, "missing"},
		{"its 404 for the namespace", opPost, 404, status(apierrors.NewNotFound(namespacesResource, "shop")), namespaceGone, "namespace_gone"},
		{"its 403", opPost, 403, status(apierrors.NewForbidden(eventsResource, "", errStopped)), forbidden, "forbidden"},
		{"an admission webhook's 403", opPost, 403, bare(403), forbidden, "forbidden"},
		{"its 400", opPost, 400, status(apierrors.NewBadRequest("no")), invalid, "invalid"},
		{"its 413", opPost, 413, status(apierrors.NewRequestEntityTooLargeError("no")), invalid, "invalid"},
		{"its 422", opPost, 422, status(apierrors.NewInvalid(schema.GroupKind{Kind: "Event"}, "api.1", nil)), invalid, "invalid"},
		{"its 409", opPost, 409, status(apierrors.NewAlreadyExists(eventsResource, "api.1")), exists, "exists"},

		{"a page's 404, patching", opPatch, 404, html, temporary, "unexpected"},
		{"a page's 404, adopting", opAdopt, 404, html, temporary, "unexpected"},
		{"a page's 404, posting", opPost, 404, html, temporary, "unexpected"},
		{"an empty 404", opPatch, 404, "", temporary, "unexpected"},
		{"another program's 404", opPatch, 404, `{"message":"no route"}`, temporary, "unexpected"},
		{"a Status of no object, patching", opPatch, 404, bare(404), temporary, "other"},
		{"a Status of no object, posting", opPost, 404, bare(404), temporary, "other"},
		{"another event's 404", opPatch, 404, status(apierrors.NewNotFound(eventsResource, "api.2")), temporary, "other"},
		{"another namespace's 404", opPost, 404, status(apierrors.NewNotFound(namespacesResource, "bank")), temporary, "other"},
		{"a page's 403", opPost, 403, html, temporary, "unexpected"},
		{"a page's 400", opPost, 400, html, temporary, "unexpected"},
		{"a page's 413", opPost, 413, html, temporary, "unexpected"},
		{"a page's 422", opPost, 422, html, temporary, "unexpected"},
		{"a page's 409", opPost, 409, html, temporary, "unexpected"},
		{"a page's 502", opPost, 502, html, temporary, "server_error"},
		{"a page's 200", opPatch, 200, html, temporary, "unreachable"},
		{"another program's 200", opPatch, 200, `{"status":"up"}`, temporary, "unreachable"},
		{"no event's 201", opPost, 201, `{}`, temporary, "unreachable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if tt.body == html {
					w.Header().Set("Content-Type", "text/html")
				}
				w.WriteHeader(tt.code)
				_, _ = w.Write([]byte(tt.body)) // the client has the answer or fails
			}))
			defer server.Close()
			c := api{client: coreClient(t, server.URL), timeout: 10 * time.Second}
			j := &request{op: tt.op, namespace: "shop", name: "api.1", event: &corev1.Event{}, patch: []byte(`{}`)}
			if a := c.call(t.Context(), j); a.class != tt.want || a.result != tt.result {
				t.Errorf("class %d (%s), want %d (%s): %v", a.class, a.result, tt.want, tt.result, a.err)
			}
		})
	}
}

// coreClient returns a client for core/v1 as the agent has it.
func coreClient(t *testing.T, url string) rest.Interface {
	t.Helper()
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, corev1.SchemeGroupVersion)
	if err := corev1.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	client, err := rest.RESTClientFor(&rest.Config{
		Host: url, APIPath: "/api", QPS: -1,
		ContentConfig: rest.ContentConfig{
			GroupVersion: &corev1.SchemeGroupVersion, ContentType: runtime.ContentTypeProtobuf,
			NegotiatedSerializer: serializer.NewCodecFactory(known).WithoutConversion(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
