package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
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

// listen takes the address, so that one that is taken fails the start.
func listen(ctx context.Context, address string, metrics prometheus.Gatherer, healthy, ready check, flows *stream) (*server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", answer(healthy))
	mux.HandleFunc("GET /readyz", answer(ready))
	mux.Handle("GET "+flowsPath, flows)
	return &server{http: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}, listener: l, flows: flows}, nil
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
