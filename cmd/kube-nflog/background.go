package main

import (
	"context"
	"log/slog"
	"sync"
)

// background is what works beside the packets' way: it follows pods and
// interfaces, writes events, and answers scrapes and probes.
type background struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	log     *slog.Logger
}

// startBackground starts it. It outlives ctx: the last packets still need it.
func (a *agent) startBackground(ctx context.Context) *background {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &background{cancel: cancel, log: a.log}
	b.start("following pods", func() error { return a.resolver.Run(ctx) })
	b.start("writing events", func() error { return a.emitter.Run(ctx) })
	if a.links != nil {
		b.start("following interfaces", a.links.Run)
		context.AfterFunc(ctx, func() { _ = a.links.Close() })
	}
	if a.server != nil {
		b.start("serving metrics and health", a.server.run)
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

// stop returns when all of it has ended.
func (b *background) stop() {
	b.cancel()
	b.running.Wait()
}
