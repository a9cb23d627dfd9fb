// Package metric counts dropped packets in Prometheus metrics with bounded
// labels.
package metric

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Config configures a Sink.
type Config struct {
	// NodeName is this node's name: it tells a local end of a flow from a
	// remote one.
	NodeName string
	// Tailer adds kube-iptables-tailer's packet_drops_count{src,dst}.
	Tailer bool

	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Sink counts packets. It is safe for concurrent use.
type Sink struct {
	node   string
	drops  *drops
	tailer *tailer // nil for none
}

// New returns a Sink whose metrics are registered.
func New(cfg Config) (*Sink, error) {
	s := &Sink{node: cfg.NodeName, drops: newDrops()}
	all := []prometheus.Collector{s.drops.vec}
	if cfg.Tailer {
		s.tailer = newTailer()
		all = append(all, s.tailer.vec)
	}
	if cfg.Registerer == nil {
		return s, nil
	}
	for _, c := range all {
		if err := cfg.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("metric: register: %w", err)
		}
	}
	return s, nil
}

// Add counts a flow with what its addresses resolved to.
func (s *Sink) Add(f *flow.Flow, source, destination *resolve.Endpoint) {
	s.drops.add(f, source, destination, s.node)
	if s.tailer != nil {
		s.tailer.add(f, source, destination)
	}
}

// Count counts a flow of which no more than its addresses is known, nor will
// be.
func (s *Sink) Count(f *flow.Flow) {
	if f.Packets == 0 {
		return
	}
	nobody := &resolve.Endpoint{Kind: resolve.External}
	s.Add(f, nobody, nobody)
}
