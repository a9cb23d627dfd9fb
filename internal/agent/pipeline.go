//go:build linux

package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/fastpath"
	"github.com/kube-nflog/kube-nflog/internal/firewall"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// This file is the way of a packet through the agent, from top to bottom. Each group has
// a receiver and a deliverer, each on a goroutine of its own:
//
//	receiver:   kernel → nflog → decode → flow
//	deliverer:  flow → dialect → resolve → explain → emit
//
// The flow table between them is the border between the rate of packets and the rate of
// flows.

// receiver brings the packets of one group into a flow table. It waits only for the
// kernel.
type receiver struct {
	group    uint16
	reader   reader
	folder   *fastpath.Folder
	table    *flow.Table
	counts   *packetCounters
	progress progress
	running  atomic.Bool // run is under way
	owner    ownerCache  // the process that reads the group instead
	log      *slog.Logger
}

// reader is the part of an nflog.Reader that a receiver needs.
type reader interface {
	Read(deadline time.Time, handle func(*nflog.Packet)) (nflog.Count, error)
	Err() error
	Stop()
	Close() error
}

// run receives until the reader is stopped and everything that the kernel has received by
// then is exported, or until ctx ends if that comes first.
func (r *receiver) run(ctx context.Context) error {
	r.running.Store(true)
	defer r.running.Store(false)
	for {
		r.progress.mark(time.Now())
		count, results, err := r.folder.Fold(r.reader) // nflog → decode → flow
		r.account(count, &results)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, r.table.Close(ctx))
		}
		r.table.Export(time.Now()) // → deliverer
	}
}

// account publishes what a read brought, each packet in one counter.
func (r *receiver) account(c nflog.Count, results *fastpath.Results) {
	r.counts.add(c, results)
	r.counts.overflowedTo(r.table.Overflowed())
	if c.Lost > 0 || c.Overruns > 0 {
		r.log.Debug("the kernel lost packets", "lost", c.Lost, "overruns", c.Overruns)
	}
	if c.Unsized > 0 {
		r.log.Warn("the kernel lost packets, nothing tells how many", "overruns", c.Unsized)
	}
}

// deliverer brings the flows of one group to the sinks. It may wait, for example for a
// slow reader of standard output. The flow table makes its windows longer meanwhile.
type deliverer struct {
	windows   <-chan flow.Window // of run
	merger    *dialect.Merger    // nil if the dialect has no duplicates
	counts    mergedCounters
	resolver  *resolve.Resolver
	explainer *explain.Explainer
	limits    *firewall.Limits // nil if no sink needs them
	sinks     []emit.Sink      // each flow goes to all of them, in this order
	metrics   emit.Sink        // one of sinks: the only one if countOnly
	countOnly bool             // no sink needs names or reasons, unless somebody follows
	followers *followers       // nil without a server
	progress  progress

	// records holds *emit.DroppedFlow for reuse. Flows that have waited are delivered by
	// other goroutines, so there may be several in use.
	records sync.Pool
}

// run delivers windows until there are no more.
func (d *deliverer) run(windows <-chan flow.Window) {
	d.windows = windows
	for w := range windows {
		d.deliverWindow(w)
		d.progress.idle()
	}
}

func (d *deliverer) deliverWindow(w flow.Window) {
	d.progress.mark(time.Now())
	switch {
	case !d.countOnly || d.followers.any():
		for f, said := range d.merger.Merge(w) {
			d.deliver(f, said)
			d.deliverEarly()
		}
	case !d.merger.Unchanged(w):
		for f := range d.merger.Merge(w) {
			d.count(f)
			d.deliverEarly()
		}
	default:
		for sum := range w.Sums() {
			d.count(sum)
		}
	}
	d.counts.add(d.merger.Counts())
	w.Release()
}

// deliverEarly delivers the window that has come while another one is delivered. Without
// this, new flows would wait for the end of a large window. There is at most one such
// window: the table exports no more until this one is released.
func (d *deliverer) deliverEarly() {
	select {
	case w, ok := <-d.windows:
		if ok {
			d.deliverWindow(w)
		}
	default:
	}
}

// deliver takes one flow through the last stages. If the pod of an end may be too new to
// be known, the flow waits and is delivered later. said is what other rules said of the
// flow's packets.
func (d *deliverer) deliver(f *flow.Flow, said []dialect.Said) {
	source, destination := d.resolve(f)
	if isUnknown(source) || isUnknown(destination) {
		if d.await(*f, said) {
			return
		}
		source, destination = d.resolve(f) // one may have become known since
	}
	reason := d.explain(f, &source, &destination, said)
	d.emit(f, &source, &destination, &reason)
}

// resolve returns the endpoints that had the flow's addresses from its first packet to
// its last.
func (d *deliverer) resolve(f *flow.Flow) (source, destination resolve.Endpoint) {
	return d.resolver.LookupBetween(f.Source, f.FirstSeen, f.LastSeen), d.resolver.LookupBetween(f.Destination, f.FirstSeen, f.LastSeen)
}

func isUnknown(e resolve.Endpoint) bool {
	return e.Kind == resolve.Unknown && !e.Ambiguous && e.IP.IsValid()
}

// await reports whether the flow will be delivered again, when more is known of an end or
// nothing can become known any more. It is only called for flows with an unknown end,
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

// explain returns why the flow was dropped.
func (d *deliverer) explain(f *flow.Flow, source, destination *resolve.Endpoint, said []dialect.Said) policy.Reason {
	reason := d.explainer.Explain(f, source, destination, said)
	reason.Limit, reason.AtLeast = d.limits.Of(f.Group, f.Prefix)
	return reason
}

// emit hands the flow to all sinks.
func (d *deliverer) emit(f *flow.Flow, source, destination *resolve.Endpoint, reason *policy.Reason) {
	record, ok := d.records.Get().(*emit.DroppedFlow)
	if !ok {
		record = new(emit.DroppedFlow)
	}
	*record = emit.DroppedFlow{Flow: *f, Source: *source, Destination: *destination, Reason: *reason}
	for _, sink := range d.sinks {
		sink.Add(record)
	}
	d.records.Put(record)
}

// count counts a flow that needs no names and no reason.
func (d *deliverer) count(f *flow.Flow) {
	if f.Packets == 0 {
		return
	}
	outside := resolve.Endpoint{Kind: resolve.External}
	d.metrics.Add(&emit.DroppedFlow{Flow: *f, Source: outside, Destination: outside})
}
