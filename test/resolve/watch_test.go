package resolve

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// proxy is between a resolver and the real API server. It counts the lists and watches of
// all pods.
type proxy struct {
	http.Handler
	address        string
	lists, watches atomic.Int32
	busy           atomic.Bool // answer watches with a 429
	hung           atomic.Bool // answer nothing, and pass nothing on

	mu     sync.Mutex // guards server
	server *http.Server
}

func startProxy(t *testing.T) (*proxy, rest.Interface) {
	t.Helper()
	cfg := shared.RESTConfig()
	target, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	forward.Transport, forward.FlushInterval = transport, -1
	p := &proxy{Handler: forward, address: "127.0.0.1:0"}
	p.listen(t)
	t.Cleanup(func() { p.close(t) })
	client, err := rest.RESTClientFor(&rest.Config{
		Host: "http://" + p.address, APIPath: "/api", QPS: -1,
		ContentConfig: rest.ContentConfig{GroupVersion: &corev1.SchemeGroupVersion, NegotiatedSerializer: scheme.Codecs.WithoutConversion()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, client
}

func (p *proxy) listen(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	server := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	go func() { _ = server.Serve(l) }()
}

// close closes all connections and refuses new ones.
func (p *proxy) close(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.server.Close(); err != nil {
		t.Error(err)
	}
}

// ServeHTTP is http.Handler's.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if p.hung.Load() {
		<-r.Context().Done()
		return
	}
	if strings.HasSuffix(r.URL.Path, "/v1/pods") {
		switch {
		case q.Get("watch") == "" || q.Get("sendInitialEvents") == "true":
			p.lists.Add(1)
		default:
			p.watches.Add(1)
			if p.busy.Load() {
				http.Error(w, "too many requests", http.StatusTooManyRequests)
				return
			}
		}
	}
	p.Handler.ServeHTTP(w, r)
}

// TestWatchResumes closes the connections and refuses new ones for a while. Then it answers
// 429. Each time the watch must continue without another list, and must know what has
// happened meanwhile.
func TestWatchResumes(t *testing.T) {
	p, client := startProxy(t)
	before := create(t, controlplane.Pod{Name: "resumes-1", Addresses: []netip.Addr{addr("10.4.0.1")}, Started: time.Now().Add(-time.Minute)})
	r := startWith(t, resolve.Config{}, client)
	eventually(t, r, "10.4.0.1", time.Now().Add(-10*time.Second), before)
	lists := p.lists.Load()

	<-time.After(1100 * time.Millisecond) // client-go lists again if a watch lasted less than a second
	p.close(t)
	meanwhile := create(t, controlplane.Pod{Name: "resumes-2", Addresses: []netip.Addr{addr("10.4.0.2")}, Started: time.Now().Add(-time.Minute)})
	<-time.After(1500 * time.Millisecond) // connections are refused for this time
	p.busy.Store(true)
	watches := p.watches.Load()
	p.listen(t)
	until(t, func() string {
		if p.watches.Load() == watches {
			return "no watch was answered with a 429"
		}
		return ""
	})
	p.busy.Store(false)
	eventually(t, r, "10.4.0.2", time.Now().Add(-10*time.Second), meanwhile)
	if n := p.lists.Load() - lists; n != 0 {
		t.Errorf("pods were listed %d times more, want none", n)
	}
}

// TestSilentWatch lets the API server's answers hang. A pod that lost its address meanwhile
// must not be named. Afterwards nothing may be lost.
func TestSilentWatch(t *testing.T) {
	p, client := startProxy(t)
	stays := create(t, controlplane.Pod{Name: "silent", Addresses: []netip.Addr{addr("10.4.0.3")}, Started: time.Now().Add(-time.Minute)})
	r := startWith(t, resolve.Config{}, client)
	eventually(t, r, "10.4.0.3", time.Now().Add(-10*time.Second), stays)

	p.hung.Store(true)
	var seen time.Time
	until(t, func() string {
		seen = time.Now()
		if got := r.Lookup(addr("10.4.0.3"), seen); got.Kind != resolve.Unknown {
			return "a pod is still named"
		}
		return ""
	})
	p.hung.Store(false)
	if diff := differs(stays, waitFor(t, r, "10.4.0.3", seen)); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
}
