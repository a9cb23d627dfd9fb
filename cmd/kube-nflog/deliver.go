package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// deliverer brings one group's flows to whoever wants them. It may wait, for a
// slow reader of standard output say: the flow table grows its window meanwhile.
type deliverer struct {
	resolver *resolve.Resolver
	emitter  *emit.Emitter
	follow   *followers // nil without --listen
	pulse    pulse
	log      *slog.Logger

	unwritten prometheus.Counter // lines

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
	source, destination := d.lookup(&f)
	if isUnknown(source) || isUnknown(destination) {
		if d.await(f) {
			return
		}
		source, destination = d.lookup(&f) // one may have become known since
	}
	d.emitter.Add(f, source, destination)
	d.follow.offer(&f, &source, &destination)
	if d.lines != nil {
		d.write(f, source, destination)
	}
}

func (d *deliverer) lookup(f *flow.Flow) (source, destination resolve.Endpoint) {
	return d.resolver.Lookup(f.Source, f.LastSeen), d.resolver.Lookup(f.Destination, f.LastSeen)
}

// await says whether the flow will be delivered again, when more is known of
// an end or nothing can be any more. Only flows with an unknown end come here,
// because it puts them on the heap.
func (d *deliverer) await(f flow.Flow) bool {
	again := func() { d.deliver(f) }
	return d.resolver.Await(f.Source, f.LastSeen, again) || d.resolver.Await(f.Destination, f.LastSeen, again)
}

func isUnknown(e resolve.Endpoint) bool {
	return e.Kind == resolve.Unknown && !e.Ambiguous && e.IP.IsValid()
}

// write prints the flow's line. It logs the first of failures in a row.
func (d *deliverer) write(f flow.Flow, source, destination resolve.Endpoint) {
	d.writing.Lock()
	defer d.writing.Unlock()
	err := d.lines.Write(f, source, destination)
	if err != nil {
		d.unwritten.Inc()
	}
	if err != nil && !d.failed {
		d.log.Error("could not write JSON lines to standard output", "error", err)
	}
	d.failed = err != nil
}
