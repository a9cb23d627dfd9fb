//go:build linux

package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/flowstream"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
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

// TestSlowFollower offers more flows than a follower has room for. The rest is counted.
func TestSlowFollower(t *testing.T) {
	f := newFollowers(prometheus.NewRegistry())
	one := f.add()
	for range followerQueue + 5 {
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

// TestNobodyFollows checks that a flow costs no allocation without followers.
func TestNobodyFollows(t *testing.T) {
	f := newFollowers(prometheus.NewRegistry())
	one := denied(80)
	if allocs := testing.AllocsPerRun(100, func() { f.Add(one) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	var none *followers
	none.Add(one)
}

// followed is one follower of an HTTP server. It is connected by a pipe, which follows the
// time of testing/synctest.
type followed struct {
	followers *followers
	name      func(uint32) string // names interfaces
	client    net.Conn
	answer    *bufio.Reader
	ended     chan error // of the handler
}

// follow connects a follower. end closes it and its server.
func follow(t *testing.T, name func(uint32) string) (f *followed, end func()) {
	t.Helper()
	f = &followed{followers: newFollowers(prometheus.NewRegistry()), name: name, ended: make(chan error, 1)}
	l := make(pipes)
	server := &http.Server{Handler: f, ReadHeaderTimeout: maxRequestTime}
	go func() { _ = server.Serve(l) }() // ends with the listener
	var other net.Conn
	f.client, other = net.Pipe()
	l <- other
	if _, err := io.WriteString(f.client, "GET /flows HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(f.client), nil) //nolint:bodyclose // the end that is returned closes it
	if err != nil {
		t.Fatal(err)
	}
	f.answer = bufio.NewReader(response.Body)
	return f, func() {
		_ = f.client.Close()
		_ = response.Body.Close()
		_ = server.Close()
	}
}

func (f *followed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	one := f.followers.add()
	err := newFollowing(w, one, "n1", f.name).run(r.Context())
	f.followers.remove(one, err)
	f.ended <- err
}

// offer offers a flow to the port. The flow entered by interface in.
func (f *followed) offer(port uint16, in uint32) {
	f.followers.Add(explained(port, in))
}

// explained is a flow that a policy denies.
func explained(port uint16, in uint32) *emit.DroppedFlow {
	one := denied(port)
	one.In = in
	one.Reason = policy.Reason{Code: policy.ReasonDeniedIngress, Text: "denied by NetworkPolicy shop/api", Policies: []string{"shop/api"}}
	return one
}

// expect reads the lines of flows to these ports, in order.
func (f *followed) expect(t *testing.T, first, last int) {
	t.Helper()
	for port := first; port <= last; port++ {
		text, err := f.answer.ReadBytes('\n')
		if err != nil {
			t.Fatalf("flow %d: %v", port, err)
		}
		var got struct {
			Reason      string
			Policies    []string
			Destination struct{ Port int }
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Destination.Port != port || got.Reason != "denied by NetworkPolicy shop/api" || len(got.Policies) != 1 {
			t.Fatalf("flow %d is %s", port, text)
		}
	}
}

// TestEveryReaderGetsTheSameLine compares the lines of "run --output json" with those of
// /flows: they must be the same bytes. "watch --agent --output json" passes them on, see
// TestJSON of package watch.
func TestEveryReaderGetsTheSameLine(t *testing.T) {
	defer goleak.VerifyNone(t)
	links, err := nflog.OpenLinks()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = links.Close() }() // only read
	f := newFollowers(prometheus.NewRegistry())
	server := httptest.NewServer(&stream{followers: f, nodeName: "n1", interfaceName: links.Name})
	defer server.Close()
	flows, err := flowstream.Open(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	var printed, streamed bytes.Buffer
	sinks := []emit.Sink{f, jsonline.New(&printed, jsonline.Config{NodeName: "n1", InterfaceName: links.Name})}
	for port := range uint16(3) {
		one := explained(port, 1)
		one.Source = resolve.Endpoint{IP: one.Flow.Source, Kind: resolve.Pod, Namespace: "shop", Name: "front", Workload: "Deployment/front"}
		one.Reason.AtLeast = true
		for _, sink := range sinks {
			sink.Add(one)
		}
	}
	for lines := bufio.NewReader(flows); strings.Count(streamed.String(), "\n") < 3; {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		streamed.WriteString(line)
	}
	if err := flows.Close(); err != nil {
		t.Error(err)
	}
	f.serving.Wait()
	if !strings.Contains(printed.String(), `"in":"lo"`) || !strings.Contains(printed.String(), `"reasonCode":"denied_ingress"`) {
		t.Errorf("printed:\n%s", printed.String())
	}
	if diff := cmp.Diff(printed.String(), streamed.String()); diff != "" {
		t.Errorf("lines (-printed +streamed):\n%s", diff)
	}
}

// TestFollowAfterQuiet offers a burst of flows after a quiet time that is longer than a
// write may take. The burst is larger than the buffers, so it takes several writes.
func TestFollowAfterQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := follow(t, nil)
		defer end()
		const burst = 200
		for first := 1; first < 3*burst; first += burst {
			<-time.After(10 * maxFollowerWrite) // the bubble's clock: no real time passes
			for port := first; port < first+burst; port++ {
				f.offer(uint16(port), 0)
			}
			f.expect(t, first, first+burst-1)
		}
	})
}

// TestFollowBusy keeps flows waiting behind each flow that is written, for several times as
// many flows as can wait. Each must arrive once.
func TestFollowBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flows = 3 * followerQueue
		offered := 2
		var f *followed
		f, end := follow(t, func(uint32) string { // is called for each flow that is written
			if offered < flows {
				offered++
				f.offer(uint16(offered), 1)
			}
			return "eth0"
		})
		defer end()
		f.followers.mu.Lock() // so that both wait at once
		for _, one := range f.followers.all {
			for port := range uint16(2) {
				one.flows <- *explained(port+1, 1)
			}
		}
		f.followers.mu.Unlock()
		f.expect(t, 1, flows)
	})
}

// TestFollowStopsReading has a client that does not read. Its follower must end, and the
// flows that still wait must be counted.
func TestFollowStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := follow(t, nil)
		defer end()
		f.offer(1, 0)
		synctest.Wait() // it is being written
		for port := range uint16(100) {
			f.offer(2+port, 0)
		}
		if err := <-f.ended; err == nil {
			t.Error("no error")
		}
		if got := testutil.ToFloat64(f.followers.missed); got != 100 {
			t.Errorf("%v flows counted as missed, want 100", got)
		}
	})
}

// TestFollowDisplaced adds more followers than there may be. The oldest must be told why it
// ends.
func TestFollowDisplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := follow(t, nil)
		defer end()
		for range maxFollowers {
			f.followers.add()
		}
		text, err := f.answer.ReadString('\n')
		if want := `{"ended":"a newer follower took the place of this one: 4 may follow an agent at once"}` + "\n"; err != nil || text != want {
			t.Errorf("%q, %v", text, err)
		}
		if err := <-f.ended; err != nil {
			t.Error(err)
		}
		if got := f.followers.count.Load(); got != maxFollowers {
			t.Errorf("%d follow, want %d", got, maxFollowers)
		}
		if got := testutil.ToFloat64(f.followers.displaced); got != 1 {
			t.Errorf("%v displaced, want 1", got)
		}
	})
}
