//go:build linux

package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kube-nflog/kube-nflog/internal/flowstream"
)

// server is the HTTP server of an agent.
type server struct {
	http     *http.Server
	listener net.Listener
	flows    *stream
	ended    chan error // gets the result of run
}

// check returns what is wrong, nil for nothing.
type check func() error

// answers are the contents of a server.
type answers struct {
	metrics        *prometheus.Registry
	healthy, ready check
	flows          *stream
	pprof          bool
}

// listen starts a server at the address. It fails if the address is in use.
func listen(ctx context.Context, address string, a answers) (*server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", address, err)
	}
	s := newServer(l, &a)
	go func() { s.ended <- s.run() }()
	return s, nil
}

// Bounds of one connection. The number of connections is bounded by boundedListener.
const (
	maxRequestTime = 2 * time.Second
	maxAnswerTime  = time.Minute // a stream of flows has maxFollowerWrite for each write instead
	maxHeader      = 16 << 10
)

func newServer(l net.Listener, a *answers) *server {
	s := &server{http: &http.Server{
		Handler: a.mux(), ReadTimeout: maxRequestTime, WriteTimeout: maxAnswerTime, MaxHeaderBytes: maxHeader,
	}, listener: boundConnections(l, a.metrics), flows: a.flows, ended: make(chan error, 1)}
	// A connection is for one request. Probes and scrapes come every few seconds, and an
	// idle connection takes memory meanwhile.
	s.http.SetKeepAlivesEnabled(false)
	return s
}

func (a *answers) mux() *http.ServeMux {
	mux := http.NewServeMux()
	// No compression: it takes 3 MiB of memory for 16 KiB of metrics.
	mux.Handle("GET /metrics", oneAtATime(promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{DisableCompression: true})))
	mux.HandleFunc("GET /healthz", answer(a.healthy))
	mux.HandleFunc("GET /readyz", answer(a.ready))
	// Flows and profiles are secret. They are only for those who may enter the node's
	// network namespace or forward a port of this pod.
	mux.Handle("GET "+flowstream.Path, toThisHost(a.flows))
	if a.pprof {
		for path, handler := range map[string]http.HandlerFunc{
			"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
		} {
			mux.Handle("GET /debug/pprof/"+path, toThisHost(handler))
		}
	}
	return mux
}

// toThisHost refuses requests from other hosts. An answer may take any time.
func toThisHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) {
			http.Error(w, "only from this node: use kubectl exec or kubectl port-forward", http.StatusForbidden)
			return
		}
		// After maxRequestTime the server would assume that the client has gone.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a broken connection shows at the first write
		h.ServeHTTP(w, r)
	})
}

// isLocal reports whether a request comes from this host and names it as the target. The
// second check guards against DNS rebinding: a browser on this host sends the name of a
// strange website.
func isLocal(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// oneAtATime answers one request at a time, into memory. Otherwise many requests, or
// clients that read slowly, would multiply the memory of an answer.
func oneAtATime(h http.Handler) http.Handler {
	turn := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case turn <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		answer := &heldAnswer{header: w.Header(), status: http.StatusOK}
		func() {
			defer func() { <-turn }()
			h.ServeHTTP(answer, r)
		}()
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes()) // the client has gone if it fails
	})
}

// heldAnswer is an http.ResponseWriter that keeps the answer in memory.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) Header() http.Header         { return a.header }
func (a *heldAnswer) WriteHeader(status int)      { a.status = status }
func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }

// wait returns when the server has ended.
func (s *server) wait() error { return <-s.ended }

// run serves until close. It returns after all streams of flows have ended.
func (s *server) run() error {
	defer s.flows.followers.serving.Wait()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// close ends run. It closes the listener itself, because http.Server knows the listener
// only after run has begun.
func (s *server) close() error {
	return errors.Join(s.http.Close(), s.listener.Close())
}

// answer answers a probe.
func answer(c check) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := c(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // the prober has gone if it fails
	}
}
