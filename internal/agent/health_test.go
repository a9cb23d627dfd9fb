//go:build linux

package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// TestHealthy marks progress of the goroutines of two groups, and probes later.
func TestHealthy(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	tests := []struct {
		name  string
		do    func(r *receiver, d *deliverer) // the second group's
		after time.Duration
		want  string // of the answer; "" for well
	}{
		{"before the start", func(*receiver, *deliverer) {}, time.Hour, ""},
		{"working", func(r *receiver, d *deliverer) { r.progress.mark(start); d.progress.mark(start) }, maxStep, ""},
		{"a reader that is stuck", func(r *receiver, _ *deliverer) { r.progress.mark(start) }, maxStep + 1, "the reader of group 7 is stuck"},
		{"a reader that waits for packets", func(r *receiver, _ *deliverer) { r.progress.mark(start); r.progress.setIdle(true) }, time.Hour, ""},
		{"flows that go nowhere", func(_ *receiver, d *deliverer) { d.progress.mark(start) }, maxStep + 1, "the flows of group 7 are not consumed"},
		{"nothing to deliver", func(_ *receiver, d *deliverer) { d.progress.mark(start); d.progress.idle() }, time.Hour, ""},
		{"recovered", func(r *receiver, _ *deliverer) {
			r.progress.mark(start)
			r.progress.mark(start.Add(time.Minute))
		}, maxStep + time.Minute, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := start
			a := &Agent{
				now:        func() time.Time { return now },
				receivers:  []*receiver{{group: 100}, {group: 7}},
				deliverers: []*deliverer{{}, {}},
				emitter:    &event.Sink{},
			}
			tt.do(a.receivers[1], a.deliverers[1])
			now = start.Add(tt.after)
			answered := httptest.NewRecorder()
			answer(a.healthy)(answered, nil)
			status, want := http.StatusOK, "ok"
			if tt.want != "" {
				status, want = http.StatusServiceUnavailable, tt.want
			}
			if answered.Code != status || !strings.Contains(answered.Body.String(), want) {
				t.Errorf("%d %q, want %d %q", answered.Code, answered.Body, status, want)
			}
		})
	}
}

// TestEmitterStuck holds a call of the emitter, and probes long after the call's deadline.
// Nothing should be able to hold a call that long.
func TestEmitterStuck(t *testing.T) {
	called, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(called)
		<-release
	}))
	defer server.Close()
	defer close(release)
	clients, err := kube.NewClients(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	emitter, err := event.New(event.Config{NodeName: "n1"}, clients.Core)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- emitter.Run(ctx) }()
	a := &Agent{emitter: emitter, now: time.Now}
	emitter.Add(&emit.DroppedFlow{
		Flow:   flow.Flow{Protocol: decode.TCP, Packets: 1},
		Source: resolve.Endpoint{IP: netip.MustParseAddr("203.0.113.9"), Kind: resolve.External},
		Destination: resolve.Endpoint{
			IP: netip.MustParseAddr("10.0.1.7"), Kind: resolve.Pod, Namespace: "shop", Name: "api", UID: "1", NodeName: "n1",
		},
	})
	<-called
	if err := a.healthy(); err != nil {
		t.Errorf("while a call is under way: %v", err)
	}
	a.now = func() time.Time { return time.Now().Add(maxStep + time.Second) }
	if err := a.healthy(); err == nil || err.Error() != "writing events is stuck" {
		t.Errorf("while a call does not end: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := a.healthy(); err != nil {
		t.Errorf("when it has ended: %v", err)
	}
}
