//go:build linux

package agent

import (
	"net/netip"
	"sync"
	"time"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/firewall"
	"github.com/kube-nflog/kube-nflog/policy"
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
	metrics   emit.Sink
	sinks     []emit.Sink // all, metrics too; each flow goes to them in this order
	follow    *followers  // nil without --listen
	pulse     pulse
	windows   <-chan flow.Window // run's

	// records are *emit.DroppedFlow to be used again. There are as many as
	// goroutines that deliver: flows that waited come from elsewhere.
	records sync.Pool
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
			d.count(f)
			d.takeEarly()
		}
	default:
		for sum := range w.Sums() {
			d.count(sum)
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
	one, ok := d.records.Get().(*emit.DroppedFlow)
	if !ok {
		one = new(emit.DroppedFlow)
	}
	*one = emit.DroppedFlow{Flow: *f, Source: source, Destination: destination, Reason: d.explain(f, &source, &destination, said)}
	for _, sink := range d.sinks {
		sink.Add(one)
	}
	d.records.Put(one)
}

// count counts a flow of which no more than its addresses is known, nor will be.
func (d *deliverer) count(f *flow.Flow) {
	if f.Packets == 0 {
		return
	}
	outside := resolve.Endpoint{Kind: resolve.External}
	d.metrics.Add(&emit.DroppedFlow{Flow: *f, Source: outside, Destination: outside})
}

// explain returns why a flow was dropped.
func (d *deliverer) explain(f *flow.Flow, source, destination *resolve.Endpoint, said []dialect.Said) policy.Reason {
	why := d.explainer.Explain(f, source, destination, said)
	why.Limit, why.AtLeast = d.limits.Of(f.Group, f.Prefix)
	return why
}

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
