//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// server answers on --listen.
type server struct {
	http     *http.Server
	listener net.Listener
	flows    *stream
}

// check returns nil, or what is wrong.
type check func() error

// answers are what a server has to say.
type answers struct {
	metrics        prometheus.Gatherer
	healthy, ready check
	flows          *stream
	pprof          bool
}

// listen takes the address, so that one that is taken fails the start.
func listen(ctx context.Context, address string, a answers) (*server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", address, err)
	}
	return newServer(l, &a), nil
}

// What a connection may cost, as anybody who reaches the node may open some:
// the time of a request's header and of its answer, which one of flowsPath has
// for each write, and between requests; and the size of a header.
const (
	headerWithin = 10 * time.Second
	answerWithin = time.Minute
	idleFor      = 2 * time.Minute
	maxHeader    = 16 << 10
)

func newServer(l net.Listener, a *answers) *server {
	return &server{http: &http.Server{
		Handler: a.mux(), ReadHeaderTimeout: headerWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor, MaxHeaderBytes: maxHeader,
	}, listener: l, flows: a.flows}
}

func (a *answers) mux() *http.ServeMux {
	mux := http.NewServeMux()
	// To compress 16 KiB takes 3 MiB of memory.
	mux.Handle("GET /metrics", promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{DisableCompression: true}))
	mux.HandleFunc("GET /healthz", answer(a.healthy))
	mux.HandleFunc("GET /readyz", answer(a.ready))
	// Who may know which pods talk to whom, or look into the process, is decided
	// by who may get into the node's network namespace, or forward a port of this
	// pod.
	mux.Handle("GET "+flowsPath, toThisHost(a.flows))
	if a.pprof {
		for path, handler := range map[string]http.HandlerFunc{
			"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
		} {
			mux.Handle("GET /debug/pprof/"+path, toThisHost(handler))
		}
	}
	return mux
}

// toThisHost refuses requests from elsewhere.
func toThisHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLocal(r) {
			http.Error(w, "only from this node: use kubectl exec or kubectl port-forward", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// run serves until close, which ends what is followed too.
func (s *server) run() error {
	defer s.flows.followers.serving.Wait()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *server) close() error { return s.http.Close() }

func answer(c check) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := c(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // the prober has gone if it fails
	}
}
