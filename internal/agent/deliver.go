//go:build linux

package agent

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/firewall"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// deliverer brings one group's flows to whoever wants them. It may wait, for a
// slow reader of standard output say: the flow table grows its window meanwhile.
type deliverer struct {
	merger    *dialect.Merger // nil where the dialect has no duplicates
	counts    mergedCounters
	resolver  *resolve.Resolver
	explainer *explain.Explainer
	limits    *firewall.Limits // nil: nothing is known of them
	nameless  bool             // there is no cluster, and no line or metric has a name: flows are only counted, unless somebody follows
	metrics   *metric.Sink
	emitter   *event.Emitter
	follow    *followers // nil without --listen
	pulse     pulse
	log       *slog.Logger
	windows   <-chan flow.Window // run's

	unwritten prometheus.Counter // lines

	writing sync.Mutex       // guards what follows: flows that waited come from elsewhere
	lines   *jsonline.Writer // nil without --output json
	failed  bool             // the last line could not be written
}

// run consumes windows until there are no more.
func (d *deliverer) run(windows <-chan flow.Window) {
	d.windows = windows
	for w := range windows {
		d.take(w)
		d.pulse.rest()
	}
}

func (d *deliverer) take(w flow.Window) {
	d.pulse.beat(time.Now())
	d.consume(w)
	d.counts.add(d.merger.Counts())
	w.Release()
}

// takeEarly consumes the window that came while another is consumed: new flows
// must not wait for the end of a large window. There is one at most, because the
// table gets no room for the next until this one is released.
func (d *deliverer) takeEarly() {
	select {
	case w, ok := <-d.windows:
		if ok {
			d.take(w)
		}
	default:
	}
}

func (d *deliverer) consume(w flow.Window) {
	switch {
	case !d.nameless || d.follow.any():
		for f, said := range d.merger.Merge(w) {
			d.deliver(f, said)
			d.takeEarly()
		}
	case !d.merger.Unchanged(w):
		for f := range d.merger.Merge(w) {
			d.metrics.Count(f)
			d.takeEarly()
		}
	default:
		for sum := range w.Sums() {
			d.metrics.Count(sum)
		}
	}
}

// deliver resolves both ends of a flow, as of its first packet and its last, has it explained
// and hands it on; a pod that is so new that it is not known yet is waited for.
// said is what other rules said of the flow's packets.
func (d *deliverer) deliver(f *flow.Flow, said []dialect.Said) {
	source, destination := d.lookup(f)
	if isUnknown(source) || isUnknown(destination) {
		if d.await(*f, said) {
			return
		}
		source, destination = d.lookup(f) // one may have become known since
	}
	x := d.explain(f, &source, &destination, said)
	d.metrics.Add(f, &source, &destination)
	d.emitter.AddExplained(*f, source, destination, &x)
	d.follow.offer(f, &source, &destination, &x)
	if d.lines != nil {
		d.write(&resolved{*f, source, destination, x})
	}
}

// explain returns what is known of a flow besides its ends.
func (d *deliverer) explain(f *flow.Flow, source, destination *resolve.Endpoint, said []dialect.Said) emit.Explanation {
	why := d.explainer.Explain(f, source, destination, said)
	rate, limited := d.limits.Of(f.Group, f.Prefix)
	return emit.Explanation{
		AtLeast: limited, Limit: rate,
		Why: why.Text, Policies: why.Policies,
		Source: view(why.Source), Destination: view(why.Destination), Node: view(why.Node),
	}
}

func view(v explain.View) emit.View { return emit.View{Why: v.Text, HidePrefix: v.HidePrefix} }

func (d *deliverer) lookup(f *flow.Flow) (source, destination resolve.Endpoint) {
	return d.resolver.LookupBetween(f.Source, f.FirstSeen, f.LastSeen), d.resolver.LookupBetween(f.Destination, f.FirstSeen, f.LastSeen)
}

// await says whether the flow will be delivered again, when more is known of
// an end or nothing can be any more. Only flows with an unknown end come here,
// because it puts them on the heap.
func (d *deliverer) await(f flow.Flow, said []dialect.Said) bool {
	again := func() { d.deliver(&f, said) }
	for _, end := range [...]netip.Addr{f.Source, f.Destination} {
		if d.resolver.Await(end, f.LastSeen, again) || d.resolver.Await(end, f.FirstSeen, again) {
			return true
		}
	}
	return false
}

func isUnknown(e resolve.Endpoint) bool {
	return e.Kind == resolve.Unknown && !e.Ambiguous && e.IP.IsValid()
}

// write prints the flow's line. It logs the first of failures in a row.
func (d *deliverer) write(r *resolved) {
	d.writing.Lock()
	defer d.writing.Unlock()
	err := r.writeTo(d.lines)
	if err != nil {
		d.unwritten.Inc()
	}
	if err != nil && !d.failed {
		d.log.Error("could not write JSON lines to standard output", "error", err)
	}
	d.failed = err != nil
}
