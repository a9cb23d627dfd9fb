package main

import (
	"bufio"
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
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

func denied(port uint16) *flow.Flow {
	return &flow.Flow{
		Group: 100, Protocol: decode.TCP, Family: decode.IPv4, HasPorts: true, DestinationPort: port,
		Source: netip.MustParseAddr("10.0.0.5"), Destination: netip.MustParseAddr("10.0.0.7"), Packets: 1,
	}
}

// TestFollow reads a server's flows as "watch --agent" does.
func TestFollow(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := newFollowers(prometheus.NewRegistry())
	server := httptest.NewServer(&stream{followers: f, nodeName: "n1"})
	defer server.Close()
	ends := &resolve.Endpoint{}
	f.offer(denied(1), ends, ends) // nobody is there yet
	body, err := openFlows(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for port := range uint16(3) {
		f.offer(denied(port), ends, ends)
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
	one, err := f.add()
	if err != nil {
		t.Fatal(err)
	}
	ends := &resolve.Endpoint{}
	for range followerRoom + 5 {
		f.offer(denied(80), ends, ends)
	}
	if got := one.missed.Load(); got != 5 || testutil.ToFloat64(f.missed) != 5 {
		t.Errorf("missed %d, counted %v, want 5", got, testutil.ToFloat64(f.missed))
	}
	for range maxFollowers - 1 {
		if _, err := f.add(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.add(); err == nil {
		t.Error("there is no bound to followers")
	}
	f.remove(one)
	if _, err := f.add(); err != nil {
		t.Errorf("after one has gone: %v", err)
	}
}

// TestNobodyFollows shows what a flow costs then: no allocation.
func TestNobodyFollows(t *testing.T) {
	f := newFollowers(prometheus.NewRegistry())
	one, ends := denied(80), &resolve.Endpoint{}
	if allocs := testing.AllocsPerRun(100, func() { f.offer(one, ends, ends) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	var none *followers
	none.offer(one, ends, ends)
}

func TestOnlyLocalRequestsMayFollow(t *testing.T) {
	tests := []struct {
		remote, host string
		want         bool
	}{
		{"127.0.0.1:5000", "127.0.0.1:9090", true},
		{"127.0.0.1:5000", "localhost:9090", true},
		{"[::1]:5000", "[::1]:9090", true},
		{"[::ffff:127.0.0.1]:5000", "127.0.0.1", true},
		{"10.0.0.5:5000", "127.0.0.1:9090", false},
		{"127.0.0.1:5000", "evil.example.com:9090", false},
		{"127.0.0.1:5000", "10.0.0.1:9090", false},
		{"", "localhost", false},
	}
	for _, tt := range tests {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, flowsPath, http.NoBody)
		r.RemoteAddr, r.Host = tt.remote, tt.host
		if got := isLocal(r); got != tt.want {
			t.Errorf("from %s to %s: %v", tt.remote, tt.host, got)
		}
	}
}
