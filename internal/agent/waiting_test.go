//go:build linux

package agent

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// counts returns the values of the metrics about waiting flows.
func (m waitingMetrics) counts() map[string]float64 {
	all := map[string]float64{}
	for name, c := range map[string]prometheus.Collector{
		"waiting": m.waiting, "woken": m.woken, "expired": m.expired, "released": m.released, "overflow": m.overflow,
	} {
		if v := testutil.ToFloat64(c); v != 0 {
			all[name] = v
		}
	}
	return all
}

// TestWaitingFlows takes flows out in the order in which they are due.
func TestWaitingFlows(t *testing.T) {
	w := &waitingFlows{limit: 3, metrics: newMetrics("dev").waiting}
	began := time.Now()
	flowOf := func(packets uint64, due time.Duration) waitingFlow {
		return waitingFlow{flow: flow.Flow{Packets: packets}, due: began.Add(due)}
	}
	if got := w.next(began); got != time.Hour {
		t.Errorf("nothing waits, and something is due in %v", got)
	}
	for i, due := range []time.Duration{3 * time.Second, time.Second, 2 * time.Second} {
		if !w.add(flowOf(uint64(due/time.Second), due), false) {
			t.Fatalf("there is no room for flow %d", i)
		}
	}
	if w.add(flowOf(4, 0), false) {
		t.Error("there is room for a flow beyond the limit")
	}
	if got := w.next(began); got != time.Second {
		t.Errorf("the first flow is due in %v, want 1s", got)
	}
	var got []uint64
	for at := time.Duration(0); at <= 3*time.Second; at += 1500 * time.Millisecond {
		for f, ok := w.take(began.Add(at)); ok; f, ok = w.take(began.Add(at)) {
			got = append(got, f.flow.Packets, uint64(at/time.Millisecond))
		}
	}
	if diff := cmp.Diff([]uint64{1, 1500, 2, 3000, 3, 3000}, got); diff != "" {
		t.Errorf("flows and when they were taken (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"overflow": 1}, w.metrics.counts()); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// stuckSink waits in Add until it is released.
type stuckSink struct{ entered, released chan struct{} }

func (s *stuckSink) Add(*emit.DroppedFlow) {
	close(s.entered)
	<-s.released
}

// packetSink adds up the packets of flows.
type packetSink struct {
	mu      sync.Mutex // guards packets
	packets uint64
}

func (s *packetSink) Add(d *emit.DroppedFlow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets += d.Packets
}

// TestStuckReaderLosesNoWaitingFlow delivers a flow to a reader of lines that is stuck.
// The flows that wait meanwhile must still reach the other sinks, and their lines must be
// counted.
func TestStuckReaderLosesNoWaitingFlow(t *testing.T) {
	resolver, err := resolve.New(resolve.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	prefixes, err := dialect.NewParser(dialect.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	explainer, err := explain.New(explain.Config{Rules: prefixes}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, counted := newMetrics("dev"), new(packetSink)
	lines := &stuckSink{make(chan struct{}), make(chan struct{})}
	d := &deliverer{
		merger: dialect.NewMerger(prefixes), counts: m.merged(100), resolver: resolver, explainer: explainer,
		waiting: &waitingFlows{limit: 4, metrics: m.waiting}, sinks: []emit.Sink{counted}, lines: lines, unwritten: m.unwritten,
	}
	for range 3 {
		d.waiting.add(waitingFlow{flow: flow.Flow{Packets: 10}, due: time.Now().Add(time.Hour)}, false)
	}
	table := flow.NewTable(flow.Config{})
	table.Add(&decode.Drop{Time: 1, Family: decode.IPv4, Protocol: decode.TCP})
	if err := table.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var delivering sync.WaitGroup
	delivering.Go(func() { d.run(table.Windows()) })
	<-lines.entered
	d.releaseWaiting(nil)
	if counted.packets != 31 {
		t.Errorf("%d packets came out, want 31", counted.packets)
	}
	if got := testutil.ToFloat64(m.unwritten); got != 3 {
		t.Errorf("%v lines counted as unwritten, want 3", got)
	}
	if diff := cmp.Diff(map[string]float64{"released": 3}, m.waiting.counts()); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	close(lines.released)
	delivering.Wait()
}
