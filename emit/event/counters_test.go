package event

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kube-nflog/kube-nflog/resolve"
)

func TestMetricsPassPromlint(t *testing.T) {
	s := newFakeServer()
	registry := prometheus.NewPedanticRegistry()
	e := newTestSink(t, Config{Registerer: registry}, s)
	peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
	e.Add(tcp(peer, self, 80, 7))
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
			e := newTestSink(t, tt.config, s)
			peer := external("198.51.100.1")
			e.Add(tcp(peer, tt.self, 80, 7))
			if got := testutil.ToFloat64(e.counters.suppressedCount.WithLabelValues(tt.want)); got < 7 {
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
	e := newTestSink(t, Config{NodeEvents: true}, s)
	for _, ends := range [][2]resolve.Endpoint{{out, n1}, {n1, out}, {out, away}} {
		e.Add(tcp(ends[0], ends[1], 80, 2))
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
