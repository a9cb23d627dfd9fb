package main

import (
	"log/slog"
	"sync"
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
	pulse    pulse
	log      *slog.Logger

	writing sync.Mutex       // guards what follows: flows that waited come from elsewhere
	lines   *emit.JSONWriter // nil without --output json
	failed  bool             // the last line could not be written
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

// deliver resolves both ends of a flow, as of its last packet, and hands it on;
// a pod that is so new that it is not known yet is waited for.
func (d *deliverer) deliver(f flow.Flow) {
	source, destination := resolve.Endpoint{IP: f.Source}, resolve.Endpoint{IP: f.Destination}
	if d.resolver != nil {
		source = d.resolver.Lookup(f.Source, f.LastSeen)
		destination = d.resolver.Lookup(f.Destination, f.LastSeen)
		if isUnknown(source) && d.await(f, source) || isUnknown(destination) && d.await(f, destination) {
			return
		}
	}
	d.emitter.Add(f, source, destination)
	if d.lines != nil {
		d.write(f, source, destination)
	}
}

// await says whether the flow will be delivered again, when more is known of
// the endpoint or nothing can be any more. It is called for unknown endpoints
// alone, because it puts the flow on the heap.
func (d *deliverer) await(f flow.Flow, e resolve.Endpoint) bool {
	return d.resolver.Await(e.IP, f.LastSeen, func() { d.deliver(f) })
}

func isUnknown(e resolve.Endpoint) bool {
	return e.Kind == resolve.Unknown && !e.Ambiguous && e.IP.IsValid()
}

// write prints the flow's line. It logs the first of failures in a row.
func (d *deliverer) write(f flow.Flow, source, destination resolve.Endpoint) {
	d.writing.Lock()
	defer d.writing.Unlock()
	err := d.lines.Write(f, source, destination)
	if err != nil && !d.failed {
		d.log.Error("could not write JSON lines to standard output", "error", err)
	}
	d.failed = err != nil
}
