//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/fastpath"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// reader is what a receiver needs of an nflog.Reader.
type reader interface {
	Read(deadline time.Time, handle func(*nflog.Packet)) (nflog.Count, error)
	Err() error
	Stop()
	Close() error
}

// receiver brings the packets of one group into a flow table. Nothing in it waits for
// anything but the kernel.
type receiver struct {
	group   uint16
	reader  reader
	folder  *fastpath.Folder
	table   *flow.Table
	counts  *packetCounters
	pulse   pulse
	running atomic.Bool // run is under way
	reads   ownerText   // the process that reads the group instead
	log     *slog.Logger
}

// newReceiver returns a receiver without a reader.
func newReceiver(group uint16, decoding decode.Config, folding flow.Config, links *nflog.Links, m *metrics, log *slog.Logger) *receiver {
	table := flow.NewTable(folding)
	return &receiver{
		group: group, table: table, counts: m.group(group), log: log.With("group", group),
		folder: fastpath.New(fastpath.Config{Group: group, Decode: decoding, Table: table, Links: links}),
	}
}

// run receives until the reader is stopped and everything that the kernel has received by
// then is exported, or until ctx ends if that comes first.
func (r *receiver) run(ctx context.Context) error {
	r.running.Store(true)
	defer r.running.Store(false)
	for {
		r.pulse.beat(time.Now())
		count, results, err := r.folder.Fold(r.reader)
		r.account(count, &results)
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, r.table.Close(ctx))
		}
		r.table.Export(time.Now())
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

// openReceiver binds a group. rules reads prefixes; local reports whether an address is
// one of this node's pods; links knows the node's interfaces.
func openReceiver(group uint16, cfg *Config, rules *dialect.Parser, local func(netip.Addr) bool, links *nflog.Links, m *metrics, log *slog.Logger) (*receiver, error) {
	r := newReceiver(group, decode.Config{Prefixes: cfg.Prefixes, Ignore: rules.Allows},
		flow.Config{Window: cfg.FlowWindow, Local: local}, links, m, log)
	opened, err := nflog.Open(nflog.Config{Group: group, AwaitGroup: cfg.AwaitGroups, OnIdle: r.pulse.pauses}, log)
	if err != nil {
		return nil, fmt.Errorf("receive packets: %w", err)
	}
	r.reader = opened
	if err := r.unbound(time.Now()); err != nil {
		r.log.Warn("no packets are received until the group is free", "error", err)
	}
	return r, nil
}
