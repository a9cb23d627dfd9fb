package doctor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// fakeAPI answers what doctor asks an API server. test/operate asks a real one.
type fakeAPI struct {
	denied []string // "verb resource"
	pods   int
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/version":
	case "/api/v1/pods":
		_, _ = fmt.Fprintf(w, `{"metadata":{"remainingItemCount":%d},"items":[{}]}`, f.pods-1)
	case "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
		var review struct {
			Spec struct {
				ResourceAttributes struct{ Verb, Resource string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		asked := review.Spec.ResourceAttributes
		_, _ = fmt.Fprintf(w, `{"status":{"allowed":%v}}`, !slices.Contains(f.denied, asked.Verb+" "+asked.Resource))
	default:
		http.NotFound(w, r)
	}
}

// TestAPIServer compares the findings about API servers that lack something.
func TestAPIServer(t *testing.T) {
	tests := []struct {
		name string
		api  fakeAPI
		want []string // "status check: part of the text"
	}{
		{"everything is permitted", fakeAPI{pods: 100}, []string{
			"ok api: answers", "ok skew: agrees", "ok rights: all 12 permissions", "ok pods: there are 100 pods",
		}},
		{"no pods may be watched", fakeAPI{pods: 1, denied: []string{"watch pods"}}, []string{
			"ok api:", "ok skew:", "problem rights: not permitted: watch pods; no address is known as a pod's", "ok pods:",
		}},
		{"no names of nodes", fakeAPI{pods: 1, denied: []string{"list nodes"}}, []string{
			"ok api:", "ok skew:", "note rights: not permitted: list nodes", "ok pods:",
		}},
		{"very many pods", fakeAPI{pods: manyPods + 1}, []string{
			"ok api:", "ok skew:", "ok rights:", "note pods: there are 30001 pods",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(&tt.api)
			defer server.Close()
			cluster, err := NewCluster(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			expect(t, apiServer(t.Context(), &Config{Cluster: cluster}), tt.want)
		})
	}
}

// TestNoAPIServer checks what is found without a cluster, and with one that is away.
func TestNoAPIServer(t *testing.T) {
	none, err := NewCluster(nil)
	if none != nil || err != nil {
		t.Fatalf("%v, %v", none, err)
	}
	expect(t, apiServer(t.Context(), &Config{Cluster: none}), []string{"note api: there is no cluster to ask"})

	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	away, err := NewCluster(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, apiServer(t.Context(), &Config{Cluster: away}), []string{"problem api: the API server does not answer"})
}

// TestSkew compares clocks. The server's date has whole seconds.
func TestSkew(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 500e6, time.UTC)
	second := now.Truncate(time.Second)
	tests := []struct {
		name string
		date time.Time
		want Status // "" for no finding
	}{
		{"no date", time.Time{}, ""},
		{"the same second", second, OK},
		{"a little behind", second.Add(-time.Second), OK},
		{"far behind", second.Add(-5 * time.Second), Problem},
		{"a little ahead", second.Add(2 * time.Second), OK},
		{"far ahead", second.Add(5 * time.Second), Problem},
	}
	for _, tt := range tests {
		var got Status
		for _, f := range skew(tt.date, now, now) {
			got = f.Status
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// expect compares findings with "status check: part of the text", one for each.
func expect(t *testing.T, got []Finding, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d findings, want %d: %+v", len(got), len(want), got)
	}
	for i, f := range got {
		head, part, _ := strings.Cut(want[i], ": ")
		if head = strings.TrimSuffix(head, ":"); string(f.Status)+" "+f.Check != head || !strings.Contains(f.Says, part) {
			t.Errorf("finding %d: %+v, want %s", i, f, want[i])
		}
	}
}
