package metric

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit/emittest"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// The flows and endpoints of tests.
var (
	pod      = emittest.Pod
	external = emittest.External
	tcp      = emittest.TCP
	sum      = emittest.Sum
)

func TestMetricsPassPromlint(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	s, err := New(Config{NodeName: "n1", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
	f := tcp(peer, self, 80, 7)
	s.Add(f)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
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
		{"from outside", external("203.0.113.9"), local, dropKey{sideReceiving, decode.TCP, "(external)", "shop", "p", policy.ReasonUnknown}},
		{"to outside", local, external("203.0.113.9"), dropKey{sideSending, decode.TCP, "shop", "(external)", "p", policy.ReasonUnknown}},
		{"from a pod elsewhere", remote, local, dropKey{sideReceiving, decode.TCP, "bank", "shop", "p", policy.ReasonUnknown}},
		{"to a pod elsewhere", local, remote, dropKey{sideSending, decode.TCP, "shop", "bank", "p", policy.ReasonUnknown}},
		{"between two pods here", local, local, dropKey{sideBoth, decode.TCP, "shop", "shop", "p", policy.ReasonUnknown}},
		{"between two pods elsewhere", remote, remote, dropKey{sideBoth, decode.TCP, "bank", "bank", "p", policy.ReasonUnknown}},
		{"node to unknown", node, resolve.Endpoint{}, dropKey{sideNone, decode.TCP, "(node)", "(unknown)", "p", policy.ReasonUnknown}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(Config{NodeName: "n1"})
			if err != nil {
				t.Fatal(err)
			}
			f := tcp(tt.src, tt.dst, 80, 7)
			f.Prefix = "p"
			s.Add(f)
			if got := testutil.ToFloat64(s.drops.vec.WithLabelValues(tt.want.labels()...)); got != 7 {
				t.Errorf("%+v counts %v, want 7", tt.want, got)
			}
		})
	}
}

func TestDropLabelsAreBounded(t *testing.T) {
	s, err := New(Config{NodeName: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	const flows = 10_000
	for i := range flows {
		src := pod(fmt.Sprintf("from-%d", i%900), "a", "10.0.0.1")
		dst := pod(fmt.Sprintf("to-%d", i%700), "b", "10.0.0.2")
		f := tcp(src, dst, 80, 3)
		f.Prefix = fmt.Sprintf("rule \xff\n %d", i%1000)
		s.Add(f)
	}
	if got := testutil.CollectAndCount(s.drops.vec); got > maxSeries+100 {
		t.Errorf("%d series, want at most about %d", got, maxSeries)
	}
	if got := len(s.drops.known); got > maxKnown+maxSeries+100 {
		t.Errorf("%d label sets are remembered, want at most about %d", got, maxKnown+maxSeries)
	}
	if got := sum(t, s.drops.vec); got != 3*flows {
		t.Errorf("the series add up to %v, want %d", got, 3*flows)
	}
}

func TestTailerMetric(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	s, err := New(Config{NodeName: "n1", Tailer: true, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	named := external("203.0.113.9")
	named.Name = "crawler.example"
	self := pod("shop", "api", "10.0.1.7")
	f := tcp(named, self, 80, 7)
	s.Add(f)
	if got := testutil.ToFloat64(s.tailer.vec.WithLabelValues("crawler.example", "shop")); got != 7 {
		t.Errorf("packet_drops_count counts %v, want 7", got)
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	s, err := New(Config{NodeName: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	src, dst := pod("shop", "a", "10.0.0.5"), pod("bank", "b", "10.0.1.7")
	f := tcp(src, dst, 80, 1)
	if got := testing.AllocsPerRun(1000, func() { s.Add(f) }); got != 0 {
		t.Errorf("Add allocates %v times", got)
	}
}
