// Package emit has the record that leaves the pipeline and what all its
// consumers share. Each consumer, a Sink, has a package of its own below this
// one: events, JSON lines, metrics.
package emit

import (
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// DroppedFlow is a flow with its two ends and why it was dropped.
type DroppedFlow struct {
	flow.Flow

	// Source and Destination are the pods, nodes, Services or hosts that the
	// addresses in Flow belonged to.
	Source, Destination resolve.Endpoint
	Reason              policy.Reason
}

// Sink consumes dropped flows. A new output is a new Sink.
type Sink interface {
	// Add takes in a flow. It does not change d and keeps no pointer to it. It
	// may be called by several goroutines at once.
	Add(d *DroppedFlow)
}
