//go:build linux

package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	waiting   *waitingFlows
	explainer *explain.Explainer
	limits    *firewall.Limits // nil if no sink needs them
	sinks     []emit.Sink      // each flow goes to all of them, in this order; Add does not wait
	lines     emit.Sink        // the last sink, nil for none; Add waits for whoever reads the lines
	unwritten prometheus.Counter
	metrics   emit.Sink  // one of sinks: the only one if countOnly
	countOnly bool       // no sink needs names or reasons, unless somebody follows
	followers *followers // nil without a server
	progress  progress

	// records holds *emit.DroppedFlow for reuse. There may be two in use, if the agent
	// delivers what a stuck deliverer has left.
	records sync.Pool
}

// run delivers windows until there are no more, and flows that wait when they are due. At
// the end it delivers those that still wait, as they are.
func (d *deliverer) run(windows <-chan flow.Window) {
	d.windows = windows
	due := time.NewTimer(time.Hour)
	defer due.Stop()
	for {
		select {
		case w, ok := <-windows:
			if !ok {
				d.progress.mark(time.Now())
				d.releaseWaiting(d.lines)
				d.progress.idle()
				return
			}
			d.deliverWindow(w)
		case <-due.C:
		}
		d.deliverDue()
		d.progress.idle()
		due.Reset(d.waiting.next(time.Now()))
	}
}

func (d *deliverer) deliverWindow(w flow.Window) {
	d.progress.mark(time.Now())
	switch {
	case !d.countOnly || d.followers.any():
		for f, prefixes := range d.merger.Merge(w) {
			d.deliver(f, prefixes)
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

// deliverEarly delivers the window that has come while other flows are delivered. Without
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

// deliver takes one flow through the last stages. If more may become known of an end, the
// flow waits and is delivered later. prefixes are those of other rules that logged the
// flow's packets too.
func (d *deliverer) deliver(f *flow.Flow, prefixes []dialect.PrefixInfo) {
	source, destination, again := d.resolve(f)
	if again > 0 && d.waiting.add(waitingFlow{*f, prefixes, time.Now().Add(again)}, false) {
		return
	}
	d.emit(f, prefixes, &source, &destination, d.lines)
}

// deliverDue resolves the waiting flows that are due, and delivers those of which no more
// can become known. New flows do not wait for them.
func (d *deliverer) deliverDue() {
	now := time.Now()
	for {
		w, ok := d.waiting.take(now)
		if !ok {
			return
		}
		d.progress.mark(time.Now())
		source, destination, again := d.resolve(&w.flow)
		if again > 0 {
			w.due = now.Add(again)
			d.waiting.add(w, true)
			continue
		}
		if isNamed(&source) && isNamed(&destination) {
			d.waiting.metrics.woken.Inc()
		} else {
			d.waiting.metrics.expired.Inc()
		}
		d.emit(&w.flow, w.prefixes, &source, &destination, d.lines)
		d.deliverEarly()
	}
}

// releaseWaiting delivers the flows that still wait, with what is known of them. lines is
// nil if nobody reads lines: those are counted as unwritten then. The deliverer calls it at
// the end; if it is stuck, the agent does.
func (d *deliverer) releaseWaiting(lines emit.Sink) {
	for {
		w, ok := d.waiting.take(time.Time{})
		if !ok {
			return
		}
		source, destination, _ := d.resolve(&w.flow)
		d.waiting.metrics.released.Inc()
		d.emit(&w.flow, w.prefixes, &source, &destination, lines)
	}
}

// resolve returns the endpoints that had the flow's addresses from its first packet to
// its last. If again is not 0, more may be known after that time.
func (d *deliverer) resolve(f *flow.Flow) (source, destination resolve.Endpoint, again time.Duration) {
	source, again = d.resolver.LookupBetween(f.Source, f.FirstSeen, f.LastSeen)
	destination, other := d.resolver.LookupBetween(f.Destination, f.FirstSeen, f.LastSeen)
	if again == 0 || other > 0 && other < again {
		again = other
	}
	return source, destination, again
}

// isNamed reports whether it is known what had the address.
func isNamed(e *resolve.Endpoint) bool { return e.Kind != resolve.Unknown }

// explain returns why the flow was dropped.
func (d *deliverer) explain(f *flow.Flow, source, destination *resolve.Endpoint, prefixes []dialect.PrefixInfo) policy.Reason {
	reason := d.explainer.Explain(f, source, destination, prefixes)
	reason.Limit, reason.AtLeast = d.limits.Of(f.Group, f.Prefix)
	return reason
}

// emit explains the flow and hands it to all sinks. lines is d.lines, or nil: the flow's
// line is counted as unwritten then.
func (d *deliverer) emit(f *flow.Flow, prefixes []dialect.PrefixInfo, source, destination *resolve.Endpoint, lines emit.Sink) {
	d.resolver.Count(source)
	d.resolver.Count(destination)
	record, ok := d.records.Get().(*emit.DroppedFlow)
	if !ok {
		record = new(emit.DroppedFlow)
	}
	*record = emit.DroppedFlow{Flow: *f, Source: *source, Destination: *destination, Reason: d.explain(f, source, destination, prefixes)}
	for _, sink := range d.sinks {
		sink.Add(record)
	}
	switch {
	case lines != nil:
		lines.Add(record)
	case d.lines != nil:
		d.unwritten.Inc()
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
