package emit_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// strayingProxy is an HTTP proxy before the API server. While status is not 0, it answers
// with an HTML page and that status.
func strayingProxy(t *testing.T, c *cluster, status *atomic.Int64) string {
	t.Helper()
	target, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(c.RESTConfig()))
	if err != nil {
		t.Fatal(err)
	}
	server := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := int(status.Load()); code != 0 {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(code)
			_, _ = w.Write([]byte("<html><body>nothing to see here</body></html>")) // the client sees the status, whatever happens here
			return
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// TestAnswersOfAnotherServer puts a proxy before the API server. The proxy answers by
// itself for a while, as if its backends are being replaced. Events continue their counts,
// and nothing is given up.
func TestAnswersOfAnotherServer(t *testing.T) {
	t.Parallel()
	c := startCluster(t, controlplane.Config{})
	var status atomic.Int64
	e := start(t, c.client(t, strayingProxy(t, c, &status)), event.Config{})
	self, peer := c.pod(t, "shop", "api", "10.0.1.7"), external("203.0.113.9")
	e.Add(tcp(peer, self, 80, 100))
	c.wait(t, "shop", 100, patience)

	status.Store(http.StatusNotFound)
	e.Add(tcp(peer, self, 80, 5)) // patched
	e.Add(tcp(peer, self, 81, 7)) // posted
	strays := func(operation string) float64 {
		return e.metric(t, "kube_nflog_event_writes_total", "unexpected", operation)
	}
	for _, operation := range []string{"post", "patch"} {
		eventually(t, patience, func() bool { return strays(operation) > 0 },
			func() string { return "no " + operation + " met the proxy's own answer" })
	}
	for _, code := range []int64{http.StatusForbidden, http.StatusBadRequest, http.StatusUnprocessableEntity} {
		status.Store(code)
		before := strays("")
		eventually(t, patience, func() bool { return strays("") > before+1 },
			func() string { return "no call met the proxy's own answer" })
	}
	status.Store(0)
	c.wait(t, "shop", 112, patience)
	if ev := c.eventOn(t, 80); ev == nil || ev.Count != 105 {
		t.Errorf("the event that counted 100 before is %v, want it to count 105", ev)
	}
	if _, objects := c.total(t, "shop"); objects != 2 {
		t.Errorf("%d events, want 2", objects)
	}
	if got := e.metric(t, "kube_nflog_event_packets_unwritten_total"); got != 0 {
		t.Errorf("%v packets were given up", got)
	}
}
