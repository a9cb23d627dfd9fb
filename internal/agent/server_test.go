//go:build linux

package agent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/internal/flowstream"
)

// pipes is a listener whose connections are pipes. They follow the time of
// testing/synctest.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error { close(p); return nil }

func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestConnectionsEnd opens connections as an attacker would to fill the agent's memory. Each
// must end in its time.
func TestConnectionsEnd(t *testing.T) {
	well := func() error { return nil }
	tests := []struct {
		name, request string
		read          bool // the answer, before waiting
		within        time.Duration
	}{
		{"no request", "", false, maxRequestTime},
		{"half a header", "GET /healthz HTTP/1.1\r\nHost: n1\r\n", false, maxRequestTime},
		{"half a body", "GET /healthz HTTP/1.1\r\nHost: n1\r\nContent-Length: 1000\r\n\r\nx", true, maxRequestTime},
		{"an answer that is not read", "GET /metrics HTTP/1.1\r\nHost: n1\r\n\r\n", false, maxAnswerTime},
		{"no further request", "GET /healthz HTTP/1.1\r\nHost: n1\r\n\r\n", true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := make(pipes)
				s := newServer(l, &answers{
					metrics: prometheus.NewRegistry(), healthy: well, ready: well,
					flows: &stream{followers: newFollowers(prometheus.NewRegistry())},
				})
				go func() { _ = s.run() }() // ends with the listener
				client, server := net.Pipe()
				l <- server
				begun := time.Now()
				if _, err := io.WriteString(client, tt.request); err != nil {
					t.Fatal(err)
				}
				if tt.read {
					answer, err := http.ReadResponse(bufio.NewReader(client), nil)
					if err != nil || answer.StatusCode != http.StatusOK {
						t.Fatalf("%v: %v", answer, err)
					}
					_ = answer.Body.Close() // three bytes, read already
				}
				<-time.After(tt.within + time.Second - time.Since(begun))
				if b, err := io.ReadAll(client); err != nil || len(b) > 0 && tt.request == "" {
					t.Errorf("after %v: %q, %v", time.Since(begun), b, err)
				}
				if took := time.Since(begun); took > tt.within+2*time.Second {
					t.Errorf("it ended after %v, want %v", took, tt.within)
				}
				_ = s.close() // what is open is the test's
			})
		})
	}
}

// TestHeaderIsBounded sends a header that is too large.
func TestHeaderIsBounded(t *testing.T) {
	s, err := listen(t.Context(), "127.0.0.1:0", answers{
		metrics: prometheus.NewRegistry(), healthy: func() error { return nil },
		flows: &stream{followers: newFollowers(prometheus.NewRegistry())},
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.listener.Addr().String()+"/healthz", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Large", strings.Repeat("x", 2*maxHeader))
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		err = answer.Body.Close()
	}
	if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v: %v", answer, err)
	}
	if err := errors.Join(s.close(), s.wait()); err != nil {
		t.Error(err)
	}
}

// TestOnlyThisHost requests the pages that are only for this host, and those for everybody.
func TestOnlyThisHost(t *testing.T) {
	well := func() error { return nil }
	a := answers{
		metrics: prometheus.NewRegistry(), healthy: well, ready: well, pprof: true,
		flows: &stream{followers: newFollowers(prometheus.NewRegistry()), nodeName: "n1"},
	}
	mux := a.mux()
	status := func(path, remote, host string) int {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the flows would not end
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody)
		r.RemoteAddr, r.Host = remote, host
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code
	}
	tests := []struct {
		remote, host string
		want         int
	}{
		{"127.0.0.1:5000", "127.0.0.1:9090", http.StatusOK},
		{"127.0.0.1:5000", "localhost:9090", http.StatusOK},
		{"[::1]:5000", "[::1]:9090", http.StatusOK},
		{"[::ffff:127.0.0.1]:5000", "127.0.0.1", http.StatusOK},
		{"10.0.0.5:5000", "127.0.0.1:9090", http.StatusForbidden},
		{"127.0.0.1:5000", "evil.example.com:9090", http.StatusForbidden},
		{"127.0.0.1:5000", "10.0.0.1:9090", http.StatusForbidden},
		{"", "localhost", http.StatusForbidden},
	}
	for _, tt := range tests {
		for _, path := range []string{flowstream.Path, "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine"} {
			if got := status(path, tt.remote, tt.host); got != tt.want {
				t.Errorf("%s from %s to %s: status %d, want %d", path, tt.remote, tt.host, got, tt.want)
			}
		}
		for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
			if got := status(path, tt.remote, tt.host); got != http.StatusOK {
				t.Errorf("%s from %s to %s: status %d", path, tt.remote, tt.host, got)
			}
		}
	}
	a.pprof = false
	mux = a.mux()
	if got := status("/debug/pprof/", "127.0.0.1:5000", "localhost"); got != http.StatusNotFound {
		t.Errorf("/debug/pprof without --pprof: status %d", got)
	}
}
