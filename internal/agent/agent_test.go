//go:build linux

package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// TestListensFirst starts an agent with two mistakes: its address is in use, and its pattern
// for prefixes is wrong. The address must fail first, because the agent must answer probes
// before it does anything slow.
func TestListensFirst(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Listen: l.Addr().String(), PrefixPattern: "no group", Logger: slog.New(slog.DiscardHandler)}
	_, err = New(t.Context(), cfg)
	if err == nil || !strings.HasPrefix(err.Error(), "--listen "+cfg.Listen) {
		t.Errorf("%v, want an error of --listen", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	// If something else fails, the address is free again.
	for range 2 {
		_, err = New(t.Context(), cfg)
		if err == nil || !errors.As(err, new(ConfigError)) {
			t.Errorf("%v, want an error of the pattern", err)
		}
	}
}

// TestProbesWhileOpening probes an agent that has only its server yet.
func TestProbesWhileOpening(t *testing.T) {
	a := &Agent{}
	a.opening.Store(true)
	for _, c := range []struct {
		name  string
		check check
		want  int
	}{
		{"healthz", a.healthy, http.StatusOK},
		{"readyz", a.ready, http.StatusServiceUnavailable},
	} {
		answered := httptest.NewRecorder()
		answer(c.check)(answered, nil)
		if answered.Code != c.want {
			t.Errorf("%s: %d %q, want %d", c.name, answered.Code, answered.Body, c.want)
		}
	}
}

// fakeReader is a reader without a socket.
type fakeReader struct {
	reading chan struct{} // closed by the first Read
	hang    chan struct{} // what Read waits for; nil for Stop
	stopped chan struct{}
	err     error
	closed  bool
}

func newFakeReader() *fakeReader {
	return &fakeReader{reading: make(chan struct{}), stopped: make(chan struct{})}
}

func (f *fakeReader) Read(time.Time, func(*nflog.Packet)) (nflog.Count, error) {
	close(f.reading)
	if f.hang != nil {
		<-f.hang
	} else {
		<-f.stopped
	}
	return nflog.Count{}, io.EOF
}

func (f *fakeReader) Err() error { return f.err }

func (f *fakeReader) Stop() { close(f.stopped) }

func (f *fakeReader) Close() error {
	f.closed = true
	return nil
}

// TestReaderThatDoesNotEnd stops an agent with two groups. One reader does not end. The
// agent must end, say so, and not close that reader.
func TestReaderThatDoesNotEnd(t *testing.T) {
	rules, err := dialect.NewParser(dialect.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	a := &Agent{shutdownWithin: 400 * time.Millisecond, now: time.Now, log: log}
	if a.resolver, err = resolve.New(resolve.Config{Logger: log}, nil); err != nil {
		t.Fatal(err)
	}
	if a.explainer, err = explain.New(explain.Config{Rules: rules, Logger: log}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if a.emitter, err = event.New(event.Config{NodeName: "n1", Logger: log}, nil); err != nil {
		t.Fatal(err)
	}
	good, hung := newFakeReader(), newFakeReader()
	hung.hang = make(chan struct{})
	m := newMetrics("dev")
	for i, r := range []*fakeReader{good, hung} {
		group := uint16(100 + i)
		received := newReceiver(group, decode.Config{}, flow.Config{}, nil, m, log)
		received.reader = r
		a.receivers = append(a.receivers, received)
		a.deliverers = append(a.deliverers, &deliverer{resolver: a.resolver, explainer: a.explainer, sinks: []emit.Sink{a.emitter}, counts: m.merged(group), waiting: &waitingFlows{metrics: m.waiting}})
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	<-good.reading
	<-hung.reading
	cancel()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "did not end in time") {
			t.Errorf("run = %v, want that a reader did not end", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the agent waits for a reader that does not end")
	}
	if !good.closed || hung.closed {
		t.Errorf("readers closed: the one that ended %v, the one that did not %v", good.closed, hung.closed)
	}
	close(hung.hang)
	for range a.receivers[1].table.Windows() { //nolint:revive // until it is closed: the receiver has ended
	}
}
