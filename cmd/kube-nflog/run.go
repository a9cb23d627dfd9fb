package main

import (
	"context"
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
	resolver   *resolve.Resolver
	deliverers []*deliverer
	emitter    *emit.Emitter
	links      *nflog.Links // nil without --output json
	server     *server      // nil without --listen

	shutdownWithin time.Duration
	log            *slog.Logger
}

// run is the way of a packet, from top to bottom, until ctx ends. Then the
// stages end one after the other, in the same order, so that what the kernel
// has received is still written.
func (a *agent) run(ctx context.Context) error {
	defer a.close()
	closing, cancelClosing := a.closingContext(ctx)
	defer cancelClosing()
	background := a.startBackground(ctx)

	// kernel → nflog → decode → flow: see receiver
	var receiving errgroup.Group
	for _, r := range a.receivers {
		context.AfterFunc(ctx, r.reader.Stop)
		receiving.Go(func() error { return r.run(closing) })
		a.log.Info("receiving packets", "group", r.reader.Group())
	}

	// flow → resolve → emit: see deliverer. Addresses mean nothing before pods
	// are known; folding goes on meanwhile.
	a.waitForPods(ctx)
	var delivering sync.WaitGroup
	for i, d := range a.deliverers {
		delivering.Go(func() { d.run(a.receivers[i].table.Windows()) })
	}

	err := receiving.Wait()
	delivering.Wait()
	a.resolver.Release() // flows that wait for their pods go out as they are
	background.stop()

	// emit → Kubernetes: the last events
	if flushErr := a.emitter.Flush(closing); flushErr != nil {
		a.log.Warn("some events were not written", "error", flushErr)
	}
	a.log.Info("stopped")
	return err
}

func (a *agent) waitForPods(ctx context.Context) {
	if err := a.resolver.WaitSynced(ctx); err != nil {
		a.log.Warn("stopping before pods were known: flows are reported with bare addresses")
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
