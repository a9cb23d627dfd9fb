//go:build linux

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/flowstream"
)

func denied(port uint16) *emit.DroppedFlow {
	return &emit.DroppedFlow{Flow: flow.Flow{
		Group: 100, Protocol: decode.TCP, Family: decode.IPv4, HasPorts: true, DestinationPort: port,
		Source: netip.MustParseAddr("10.0.0.5"), Destination: netip.MustParseAddr("10.0.0.7"), Packets: 1,
	}}
}

// TestFollow reads a server's flows as "watch --agent" does.
func TestFollow(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := newFollowers(prometheus.NewRegistry())
	server := httptest.NewServer(&stream{followers: f, nodeName: "n1"})
	defer server.Close()
	f.Add(denied(1)) // nobody is there yet
	body, err := flowstream.Open(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for port := range uint16(3) {
		f.Add(denied(port))
	}
	lines := bufio.NewScanner(body)
	for want := range uint16(3) {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		var got struct {
			Node        string
			Destination struct{ Port uint16 }
		}
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if got.Destination.Port != want || got.Node != "n1" {
			t.Errorf("line %d is %s", want, lines.Text())
		}
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	f.serving.Wait()
	if n := f.count.Load(); n != 0 {
		t.Errorf("%d followers are left", n)
	}
}

// TestSlowFollower offers more than a follower takes: the rest is counted.
func TestSlowFollower(t *testing.T) {
	f := newFollowers(prometheus.NewRegistry())
	one := f.add()
	for range followerRoom + 5 {
		f.Add(denied(80))
	}
	if got := one.missed.Load(); got != 5 || testutil.ToFloat64(f.missed) != 5 {
		t.Errorf("missed %d, counted %v, want 5", got, testutil.ToFloat64(f.missed))
	}
	f.remove(one, nil)
	if got := f.count.Load(); got != 0 {
		t.Errorf("%d follow, want none", got)
	}
}

// TestNobodyFollows shows what a flow costs then: no allocation.
func TestNobodyFollows(t *testing.T) {
	f := newFollowers(prometheus.NewRegistry())
	one := denied(80)
	if allocs := testing.AllocsPerRun(100, func() { f.Add(one) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	var none *followers
	none.Add(one)
}

// TestOnlyThisHost asks for what is for this host alone, and for what is not.
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
