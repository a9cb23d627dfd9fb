// Package metric counts dropped packets in Prometheus metrics with bounded labels.
package metric

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/emit"
)

// Config configures a Sink.
type Config struct {
	// NodeName is the name of this node. It distinguishes local ends of a flow from remote
	// ones.
	NodeName string
	// Tailer adds kube-iptables-tailer's packet_drops_count{src,dst}.
	Tailer bool

	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Sink counts packets. It is safe for concurrent use.
type Sink struct {
	node    string
	drops   *drops
	reasons *reasons
	tailer  *tailer // nil for none
}

// New returns a Sink whose metrics are registered.
func New(cfg Config) (*Sink, error) {
	s := &Sink{node: cfg.NodeName, drops: newDrops(), reasons: newReasons()}
	all := []prometheus.Collector{s.drops.vec, s.reasons.vec}
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

// Add counts a flow's packets.
func (s *Sink) Add(d *emit.DroppedFlow) {
	s.drops.add(d, s.node)
	s.reasons.add(d)
	if s.tailer != nil {
		s.tailer.add(d)
	}
}
