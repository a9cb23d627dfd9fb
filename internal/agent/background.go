//go:build linux

package agent

import (
	"context"
	"log/slog"
	"sync"
)

// background is goroutines that work until they are stopped.
type background struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	log     *slog.Logger
}

// newBackground outlives ctx: the last packets still need it.
func newBackground(ctx context.Context, log *slog.Logger) (*background, context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &background{cancel: cancel, log: log}, ctx
}

// startWriting starts what writes events.
func (a *Agent) startWriting(ctx context.Context) *background {
	b, ctx := newBackground(ctx, a.log)
	b.start("writing events", func() error { return a.emitter.Run(ctx) })
	return b
}

// startBeside starts what works beside the packets' way: it follows pods and
// interfaces, and answers scrapes and probes.
func (a *Agent) startBeside(ctx context.Context) *background {
	b, ctx := newBackground(ctx, a.log)
	b.start("following pods", func() error { return a.resolver.Run(ctx) })
	b.start("following policies", func() error { return a.explainer.Run(ctx) })
	b.start("following the rules' limits", func() error { a.limits.Run(ctx); return nil })
	b.start("settling", func() error { a.settle(ctx); return nil })
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

func (b *background) start(what string, run func() error) {
	b.running.Go(func() {
		if err := run(); err != nil {
			b.log.Error("stopped working", "what", what, "error", err)
		}
	})
}

// stop returns when all of it has ended, at the latest when ctx does.
func (b *background) stop(ctx context.Context) {
	b.cancel()
	endsBefore(ctx, b.running.Wait)
}
