// Package emit defines the record that leaves the pipeline, and what all its consumers
// share. Each consumer is a Sink in its own package below this one: events, JSON lines,
// metrics.
package emit

import (
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// DroppedFlow is a flow with its two ends and the reason why it was dropped.
type DroppedFlow struct {
	flow.Flow

	// Source and Destination are the pods, nodes, Services or hosts that had the addresses
	// in Flow.
	Source, Destination resolve.Endpoint
	Reason              policy.Reason
}

// Sink consumes dropped flows. Each output is a Sink.
type Sink interface {
	// Add consumes a flow. It does not change d and keeps no pointer to it. Several
	// goroutines may call it at the same time.
	Add(d *DroppedFlow)
}
