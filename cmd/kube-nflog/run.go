package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// agent is the stages of run in the order in which a packet meets them: each
// receiver reads a group, decodes and folds; its deliverer resolves the flows'
// ends and hands them to the emitter, and to standard output.
type agent struct {
	receivers  []*receiver
	resolver   *resolve.Resolver // nil without a cluster
	deliverers []*deliverer
	emitter    *emit.Emitter
	links      *nflog.Links // nil without --output json
	server     *server      // nil without --listen

	shutdownWithin time.Duration
	log            *slog.Logger
}

// run works until ctx ends. Then the stages end one after the other, in the
// packets' order, so that what the kernel has received is still written.
func (a *agent) run(ctx context.Context) error {
	defer a.close()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var behind sync.WaitGroup
	a.startBackground(background, &behind)

	var receiving errgroup.Group
	closing, cancelClosing := a.closingContext(ctx)
	defer cancelClosing()
	for _, r := range a.receivers {
		context.AfterFunc(ctx, r.reader.Stop)
		receiving.Go(func() error { return r.run(closing) })
	}
	a.log.Info("receiving packets", "groups", len(a.receivers))
	a.deliverAll(ctx)

	err := receiving.Wait()
	stopBackground()
	behind.Wait()
	if flushErr := a.emitter.Flush(closing); flushErr != nil {
		a.log.Warn("some events were not written", "error", flushErr)
	}
	a.log.Info("stopped")
	return err
}

// deliverAll consumes all receivers' windows until the last is closed.
// Addresses mean nothing before the resolver has synced; folding goes on
// meanwhile.
func (a *agent) deliverAll(ctx context.Context) {
	if a.resolver != nil {
		if err := a.resolver.WaitSynced(ctx); err != nil {
			a.log.Warn("stopping before pods were known: flows are reported with bare addresses")
		}
	}
	var delivering sync.WaitGroup
	for i, d := range a.deliverers {
		delivering.Go(func() { d.run(a.receivers[i].table.Windows()) })
	}
	delivering.Wait()
}

// startBackground starts what serves the way of the packets.
func (a *agent) startBackground(ctx context.Context, running *sync.WaitGroup) {
	start := func(what string, f func() error) {
		running.Go(func() {
			if err := f(); err != nil && !errors.Is(err, context.Canceled) {
				a.log.Error(what+" failed", "error", err)
			}
		})
	}
	if a.resolver != nil {
		start("following pods", func() error { return a.resolver.Run(ctx) })
	}
	start("writing events", func() error { return a.emitter.Run(ctx) })
	if a.links != nil {
		start("following interfaces", a.links.Run)
		context.AfterFunc(ctx, func() { _ = a.links.Close() })
	}
	if a.server != nil {
		start("serving metrics and health", a.server.run)
		context.AfterFunc(ctx, func() { _ = a.server.close() })
	}
}

// closingContext ends --shutdown-within after ctx.
func (a *agent) closingContext(ctx context.Context) (context.Context, context.CancelFunc) {
	closing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(a.shutdownWithin, cancel) })
	return closing, cancel
}

// close gives the groups up, if run has not yet.
func (a *agent) close() {
	for _, r := range a.receivers {
		if err := r.reader.Close(); err != nil {
			a.log.Warn("could not close a reader", "error", err)
		}
	}
}
