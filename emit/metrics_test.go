package emit

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/resolve"
)

func TestMetricsPassPromlint(t *testing.T) {
	s := newFakeServer()
	registry := prometheus.NewPedanticRegistry()
	e := newTestEmitter(t, Config{Registerer: registry}, s)
	peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
	e.Add(tcp(peer, self, 80, 7), peer, self)
	flush(t, e)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	want := []string{
		"kube_nflog_drops_total",
		"kube_nflog_event_budget_calls_per_second",
		"kube_nflog_event_flows_suppressed_total",
		"kube_nflog_event_packets_accepted_total",
		"kube_nflog_event_packets_pending",
		"kube_nflog_event_packets_suppressed_total",
		"kube_nflog_event_packets_unwritten_total",
		"kube_nflog_event_packets_written_total",
		"kube_nflog_event_queue",
		"kube_nflog_event_records",
		"kube_nflog_event_write_duration_seconds",
		"kube_nflog_event_writes_total",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestDropLabels(t *testing.T) {
	node := resolve.Endpoint{IP: external("192.0.2.1").IP, Kind: resolve.Node, Name: "n1"}
	remote := pod("bank", "ledger", "10.0.9.9")
	remote.NodeName = "n2"
	local := pod("shop", "api", "10.0.1.7")
	for _, tt := range []struct {
		name     string
		src, dst resolve.Endpoint
		want     dropKey
	}{
		{"from outside", external("203.0.113.9"), local, dropKey{sideReceiving, decode.TCP, "(external)", "shop", "p"}},
		{"to outside", local, external("203.0.113.9"), dropKey{sideSending, decode.TCP, "shop", "(external)", "p"}},
		{"from a pod elsewhere", remote, local, dropKey{sideReceiving, decode.TCP, "bank", "shop", "p"}},
		{"to a pod elsewhere", local, remote, dropKey{sideSending, decode.TCP, "shop", "bank", "p"}},
		{"between two pods here", local, local, dropKey{sideBoth, decode.TCP, "shop", "shop", "p"}},
		{"between two pods elsewhere", remote, remote, dropKey{sideBoth, decode.TCP, "bank", "bank", "p"}},
		{"node to unknown", node, resolve.Endpoint{}, dropKey{sideNone, decode.TCP, "(node)", "(unknown)", "p"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := New(Config{NodeName: "n1"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			f := tcp(local, local, 80, 7)
			f.Prefix = "p"
			e.Add(f, tt.src, tt.dst)
			if got := testutil.ToFloat64(e.drops.vec.WithLabelValues(tt.want.labels()...)); got != 7 {
				t.Errorf("%+v counts %v, want 7", tt.want, got)
			}
		})
	}
}

func TestDropLabelsAreBounded(t *testing.T) {
	e, err := New(Config{NodeName: "n1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const flows = 10_000
	for i := range flows {
		src := pod(fmt.Sprintf("from-%d", i%900), "a", "10.0.0.1")
		dst := pod(fmt.Sprintf("to-%d", i%700), "b", "10.0.0.2")
		f := tcp(src, dst, 80, 3)
		f.Prefix = fmt.Sprintf("rule \xff\n %d", i%1000)
		e.Add(f, src, dst)
	}
	if got := testutil.CollectAndCount(e.drops.vec); got > maxSeries+100 {
		t.Errorf("%d series, want at most about %d", got, maxSeries)
	}
	if got := len(e.drops.known); got > maxKnown+maxSeries+100 {
		t.Errorf("%d label sets are remembered, want at most about %d", got, maxKnown+maxSeries)
	}
	if got := sum(t, e.drops.vec); got != 3*flows {
		t.Errorf("the series add up to %v, want %d", got, 3*flows)
	}
}

func TestTailerMetric(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	e, err := New(Config{NodeName: "n1", TailerMetric: true, Registerer: registry}, nil)
	if err != nil {
		t.Fatal(err)
	}
	named := external("203.0.113.9")
	named.Name = "crawler.example"
	self := pod("shop", "api", "10.0.1.7")
	e.Add(tcp(named, self, 80, 7), named, self)
	if got := testutil.ToFloat64(e.tailer.vec.WithLabelValues("crawler.example", "shop")); got != 7 {
		t.Errorf("packet_drops_count counts %v, want 7", got)
	}
}

func TestSuppressedByReason(t *testing.T) {
	local := pod("shop", "api", "10.0.1.7")
	optedOut := pod("shop", "quiet", "10.0.1.8")
	optedOut.EventsDisabled = true
	nameless := pod("shop", "x", "10.0.1.9")
	nameless.UID = ""
	ambiguous := resolve.Endpoint{IP: external("10.0.3.3").IP, Ambiguous: true}
	for _, tt := range []struct {
		name   string
		self   resolve.Endpoint
		config Config
		want   string
	}{
		{"external", external("203.0.113.9"), Config{}, reasonNotPod},
		{"ambiguous", ambiguous, Config{}, reasonAmbiguous},
		{"ambiguous with node events", ambiguous, Config{NodeEvents: true}, reasonAmbiguous},
		{"overflow", resolve.Endpoint{}, Config{}, reasonOverflow},
		{"opted out", optedOut, Config{}, reasonOptedOut},
		{"unidentified", nameless, Config{}, reasonUnidentified},
		{"excluded", local, Config{ExcludeNamespaces: []string{"shop"}}, reasonExcluded},
		{"not included", local, Config{Namespaces: []string{"bank"}}, reasonExcluded},
		{"included and excluded", local, Config{Namespaces: []string{"shop"}, ExcludeNamespaces: []string{"shop"}}, reasonExcluded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeServer()
			e := newTestEmitter(t, tt.config, s)
			peer := external("198.51.100.1")
			e.Add(tcp(peer, local, 80, 7), peer, tt.self)
			if got := testutil.ToFloat64(e.account.suppressedCount.WithLabelValues(tt.want)); got < 7 {
				t.Errorf("%v packets counted as %s, want 7", got, tt.want)
			}
			checkSums(t, e)
			flush(t, e)
			if got := s.list(); len(got) != 0 {
				t.Errorf("events were written: %v", got)
			}
		})
	}
}

func TestNodeEvents(t *testing.T) {
	n1 := resolve.Endpoint{IP: external("192.0.2.1").IP, Kind: resolve.Node, Name: "n1"}
	out, away := external("203.0.113.9"), external("198.51.100.7")
	s := newFakeServer()
	e := newTestEmitter(t, Config{NodeEvents: true}, s)
	for _, ends := range [][2]resolve.Endpoint{{out, n1}, {n1, out}, {out, away}} {
		e.Add(tcp(ends[0], ends[1], 80, 2), ends[0], ends[1])
	}
	checkSums(t, e)
	flush(t, e)
	want := map[string]int32{
		"n1: Packet dropped when receiving traffic from 203.0.113.9 on port 80/TCP.":                  2,
		"n1: Packet dropped when sending traffic to 203.0.113.9 on port 80/TCP.":                      2,
		"n1: Packet dropped when forwarding traffic from 203.0.113.9 to 198.51.100.7 on port 80/TCP.": 2,
	}
	if diff := cmp.Diff(want, s.counts()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, ev := range s.list() {
		if o := ev.InvolvedObject; o.Kind != "Node" || o.Namespace != "" || o.UID != "n1" || ev.Namespace != "default" {
			t.Errorf("the event %s/%s is about %+v", ev.Namespace, ev.Name, o)
		}
	}
}

func TestAddAllocatesNothingWithoutEvents(t *testing.T) {
	e, err := New(Config{NodeName: "n1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := pod("shop", "a", "10.0.0.5"), pod("bank", "b", "10.0.1.7")
	f := tcp(src, dst, 80, 1)
	if got := testing.AllocsPerRun(1000, func() { e.Add(f, src, dst) }); got != 0 {
		t.Errorf("Add allocates %v times", got)
	}
}
