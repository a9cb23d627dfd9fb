package main

import (
	"log/slog"
	"time"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// deliverer brings one group's flows to whoever wants them. It may wait, for a
// slow reader of standard output say: the flow table grows its window meanwhile.
type deliverer struct {
	resolver *resolve.Resolver // nil without a cluster
	emitter  *emit.Emitter
	lines    *emit.JSONWriter // nil without --output json
	pulse    pulse
	log      *slog.Logger
	failed   bool // the last line could not be written
}

// run consumes windows until there are no more.
func (d *deliverer) run(windows <-chan flow.Window) {
	for w := range windows {
		d.pulse.beat(time.Now())
		for f := range w.Flows() {
			d.deliver(f)
		}
		w.Release()
		d.pulse.rest()
	}
}

// deliver resolves both ends of a flow, as of its last packet, and hands it on.
func (d *deliverer) deliver(f flow.Flow) {
	source, destination := resolve.Endpoint{IP: f.Source}, resolve.Endpoint{IP: f.Destination}
	if d.resolver != nil {
		source = d.resolver.Lookup(f.Source, f.LastSeen)
		destination = d.resolver.Lookup(f.Destination, f.LastSeen)
	}
	d.emitter.Add(f, source, destination)
	if d.lines != nil {
		d.write(f, source, destination)
	}
}

// write prints the flow's line. It logs the first of failures in a row.
func (d *deliverer) write(f flow.Flow, source, destination resolve.Endpoint) {
	err := d.lines.Write(f, source, destination)
	if err != nil && !d.failed {
		d.log.Error("could not write JSON lines to standard output", "error", err)
	}
	d.failed = err != nil
}
