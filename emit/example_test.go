package emit_test

import (
	"fmt"
	"net/netip"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// printer is an output of its own. The agent hands each flow to all its sinks.
type printer struct{}

func (printer) Add(d *emit.DroppedFlow) {
	fmt.Printf("%s/%s → %s: %d packets, %s\n", d.Source.Namespace, d.Source.Name, d.Flow.Destination, d.Packets, d.Reason.Code)
}

// A new output is a type with the method Add.
func ExampleSink() {
	var sink emit.Sink = printer{}
	sink.Add(&emit.DroppedFlow{
		Flow:   flow.Flow{Destination: netip.MustParseAddr("203.0.113.9"), Packets: 12},
		Source: resolve.Endpoint{Kind: resolve.Pod, Namespace: "shop", Name: "frontend"},
		Reason: policy.Reason{Code: policy.ReasonDeniedEgress, Text: "denied by NetworkPolicy shop/front-out (no egress rule allows it)"},
	})
	// Output: shop/frontend → 203.0.113.9: 12 packets, denied_egress
}
