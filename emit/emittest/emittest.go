// Package emittest has flows and endpoints for the unit tests of sinks.
package emittest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Start returns the time of the flows of TCP.
func Start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// Pod returns a pod's endpoint on node n1.
func Pod(namespace, name, ip string) resolve.Endpoint {
	return resolve.Endpoint{
		IP: netip.MustParseAddr(ip), Kind: resolve.Pod, Namespace: namespace, Name: name,
		UID: "uid-" + name, Identifier: namespace + "/" + name, NodeName: "n1",
	}
}

// External returns the endpoint of an address outside the cluster.
func External(ip string) resolve.Endpoint {
	return resolve.Endpoint{IP: netip.MustParseAddr(ip), Kind: resolve.External}
}

// TCP returns a flow with a number of SYN packets between two endpoints.
func TCP(source, destination resolve.Endpoint, port uint16, packets uint64) *emit.DroppedFlow {
	f := flow.Flow{
		Group: 100, Hook: decode.HookForward, Family: decode.IPv4, Protocol: decode.TCP,
		Source: source.IP, Destination: destination.IP, SourcePort: 43210, DestinationPort: port, HasPorts: true,
		TCPFlags: decode.SYN, FirstSeen: Start(), LastSeen: Start(), Packets: packets, Bytes: 60 * packets,
	}
	return &emit.DroppedFlow{Flow: f, Source: source, Destination: destination}
}

// Sum returns the sum of all series of a collector of counters.
func Sum(t *testing.T, c prometheus.Collector) (total float64) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			total += m.GetCounter().GetValue()
		}
	}
	return total
}
