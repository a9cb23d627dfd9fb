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

// server answers on --listen.
type server struct {
	http     *http.Server
	listener net.Listener
	flows    *stream
	ended    chan error // run's, of a server that listen has started
}

// check returns nil, or what is wrong.
type check func() error

// answers are what a server has to say.
type answers struct {
	metrics        *prometheus.Registry
	healthy, ready check
	flows          *stream
	pprof          bool
}

// listen takes the address and begins to answer. One that is taken fails the
// start.
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

// What a connection may cost: the time of a request, of its answer, which one
// of flowstream.Path has for each write, and the size of a header. How many there may
// be is boundedListener's.
const (
	requestWithin = 2 * time.Second
	answerWithin  = time.Minute
	maxHeader     = 16 << 10
)

func newServer(l net.Listener, a *answers) *server {
	s := &server{http: &http.Server{
		Handler: a.mux(), ReadTimeout: requestWithin, WriteTimeout: answerWithin, MaxHeaderBytes: maxHeader,
	}, listener: boundConnections(l, a.metrics), flows: a.flows, ended: make(chan error, 1)}
	// A connection is for one request: a probe or a scrape every few seconds
	// gains nothing by keeping it, and an idle one takes memory.
	s.http.SetKeepAlivesEnabled(false)
	return s
}

func (a *answers) mux() *http.ServeMux {
	mux := http.NewServeMux()
	// To compress 16 KiB takes 3 MiB of memory.
	mux.Handle("GET /metrics", inTurn(promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{DisableCompression: true})))
	mux.HandleFunc("GET /healthz", answer(a.healthy))
	mux.HandleFunc("GET /readyz", answer(a.ready))
	// Who may know which pods talk to whom, or look into the process, is decided
	// by who may get into the node's network namespace, or forward a port of this
	// pod.
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

// toThisHost refuses requests from elsewhere. An answer may take as long as it
// takes.
func toThisHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) {
			http.Error(w, "only from this node: use kubectl exec or kubectl port-forward", http.StatusForbidden)
			return
		}
		// At the end of the time for the request, the server would take the client
		// for gone.
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a failed connection shows at the first write
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

// inTurn lets one request be answered at a time, into memory, so that many of
// them, or clients that read slowly, do not multiply what an answer takes.
func inTurn(h http.Handler) http.Handler {
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

// heldAnswer is an http.ResponseWriter that keeps the answer.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) Header() http.Header         { return a.header }
func (a *heldAnswer) WriteHeader(status int)      { a.status = status }
func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }

// wait returns when a server that listen has started has ended.
func (s *server) wait() error { return <-s.ended }

// run serves until close, which ends what is followed too.
func (s *server) run() error {
	defer s.flows.followers.serving.Wait()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// close ends run. The http.Server knows the listener only once run has begun.
func (s *server) close() error {
	return errors.Join(s.http.Close(), s.listener.Close())
}

func answer(c check) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := c(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // the prober has gone if it fails
	}
}
