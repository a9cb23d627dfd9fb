//go:build linux

package agent

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// TestCountAddsUp delivers flows where there is no cluster, in turns of two
// prefixes: the metric has every packet.
func TestCountAddsUp(t *testing.T) {
	registry := prometheus.NewRegistry()
	counted, err := metric.New(metric.Config{NodeName: "n1", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics("dev")
	d := &deliverer{metrics: counted, nameless: true, counts: m.merged(100)}
	table := flow.NewTable(flow.Config{})
	prefixes := []string{"deny", "deny", "", "deny"}
	for i, prefix := range prefixes {
		table.Add(&decode.Drop{
			Time: 1, Prefix: prefix, Family: decode.IPv4, Protocol: decode.TCP, HasPorts: true, DestinationPort: uint16(i),
		})
	}
	if err := table.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.run(table.Windows())
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "kube_nflog_drops_total" {
			continue
		}
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if label.GetName() == "prefix" {
					got[label.GetValue()] = series.GetCounter().GetValue()
				}
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{"": 1, "deny": 3}, got); diff != "" {
		t.Errorf("packets by prefix: -want +got:\n%s", diff)
	}
}

// TestEarlyFlowsComeBetween delivers a window of three flows, after the first of
// which a new flow is there: it is delivered before the rest.
func TestEarlyFlowsComeBetween(t *testing.T) {
	resolver, err := resolve.New(resolve.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := dialect.NewParser(dialect.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	explainer, err := explain.New(explain.Config{Rules: rules}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	m := newMetrics("dev")
	d := &deliverer{
		merger: dialect.NewMerger(rules), counts: m.merged(100), resolver: resolver, explainer: explainer,
		sinks: []emit.Sink{jsonline.New(&out, jsonline.Config{NodeName: "n1", Unwritten: m.unwritten})},
	}
	windows := make(chan flow.Window, 2)
	for _, ports := range [][]uint16{{1, 2, 3}, {9}} {
		table := flow.NewTable(flow.Config{})
		for _, port := range ports {
			table.Add(&decode.Drop{
				Time: 1, Family: decode.IPv4, Protocol: decode.TCP, HasPorts: true, DestinationPort: port,
				Source: netip.MustParseAddr("203.0.113.9").As16(), Destination: netip.MustParseAddr("203.0.113.10").As16(),
			})
		}
		if err := table.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		windows <- <-table.Windows()
	}
	close(windows)
	d.run(windows)
	var ports []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var l struct {
			Destination struct{ Port int }
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		ports = append(ports, strconv.Itoa(l.Destination.Port))
	}
	if got := strings.Join(ports, " "); got != "1 9 2 3" {
		t.Errorf("delivered in the order of ports %s, want 1 9 2 3:\n%s", got, out.String())
	}
}
