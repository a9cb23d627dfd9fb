//go:build linux

package agent

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// deadlines returns contexts that end some time after ctx. After half of the shutdown
// time, all flows must be delivered. An eighth later, receivers that have not ended are
// left behind. At the end, all events must be written.
func (a *Agent) deadlines(ctx context.Context) (deliverBy, receiveBy, writeBy context.Context, cancel context.CancelFunc) {
	writeBy, cancelWriting := context.WithCancel(context.WithoutCancel(ctx))
	receiveBy, cancelReceiving := context.WithCancel(writeBy)
	deliverBy, cancelDelivering := context.WithCancel(receiveBy)
	context.AfterFunc(ctx, func() {
		time.AfterFunc(a.shutdownWithin/2, cancelDelivering)
		time.AfterFunc(a.shutdownWithin*5/8, cancelReceiving)
		time.AfterFunc(a.shutdownWithin, cancelWriting)
	})
	return deliverBy, receiveBy, writeBy, func() { cancelDelivering(); cancelReceiving(); cancelWriting() }
}

// endsBefore reports whether f has ended before ctx.
func endsBefore(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// background is a group of goroutines that work until they are stopped.
type background struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	log     *slog.Logger
}

// newBackground returns a group and its context, which outlives ctx: the last packets
// still need the group.
func newBackground(ctx context.Context, log *slog.Logger) (*background, context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &background{cancel: cancel, log: log}, ctx
}

func (b *background) start(what string, run func() error) {
	b.running.Go(func() {
		if err := run(); err != nil {
			b.log.Error("stopped working", "what", what, "error", err)
		}
	})
}

// stop ends the group. It returns when all goroutines have ended, or ctx has.
func (b *background) stop(ctx context.Context) {
	b.cancel()
	endsBefore(ctx, b.running.Wait)
}

// startWriting starts the goroutine that writes events.
func (a *Agent) startWriting(ctx context.Context) *background {
	b, ctx := newBackground(ctx, a.log)
	b.start("writing events", func() error { return a.emitter.Run(ctx) })
	return b
}

// startHelpers starts everything that works beside the packet path: it follows pods,
// policies, rules and interfaces, and answers scrapes and probes.
func (a *Agent) startHelpers(ctx context.Context) *background {
	b, ctx := newBackground(ctx, a.log)
	b.start("following pods", func() error { return a.resolver.Run(ctx) })
	b.start("following policies", func() error { return a.explainer.Run(ctx) })
	b.start("following the rules' limits", func() error { a.limits.Run(ctx); return nil })
	b.start("freeing memory", func() error { a.freeStartMemory(ctx); return nil })
	if a.links != nil {
		b.start("following interfaces", a.links.Run)
		context.AfterFunc(ctx, func() { _ = a.links.Close() })
	}
	if a.server != nil {
		b.start("serving metrics and health", a.server.wait)
		context.AfterFunc(ctx, func() { _ = a.server.close() })
	}
	return b
}

// freeStartMemory returns the memory that only the start needed, after the first lists
// are in.
func (a *Agent) freeStartMemory(ctx context.Context) {
	if a.resolver.WaitSynced(ctx) != nil || a.explainer.WaitSynced(ctx) != nil {
		return // the agent ends before it has started
	}
	debug.FreeOSMemory()
}

// close closes what New has opened and Run has not closed yet.
func (a *Agent) close() {
	if a.server != nil {
		_ = a.server.close() // Run may have closed it
	}
	if a.links != nil {
		_ = a.links.Close() // Run may have closed it
	}
	for _, r := range a.receivers {
		if r.running.Load() {
			continue // it was left behind, and still uses its reader
		}
		if err := r.reader.Close(); err != nil {
			a.log.Warn("could not close a reader", "error", err)
		}
	}
}
