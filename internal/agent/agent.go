//go:build linux

package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/internal/firewall"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Agent is the stages of Run in the order in which a packet meets them: each
// receiver reads a group, decodes and folds; its deliverer resolves the flows'
// ends and hands them to the emitter, and to standard output.
type Agent struct {
	receivers  []*receiver
	resolver   *resolve.Resolver
	deliverers []*deliverer
	explainer  *explain.Explainer
	limits     *firewall.Limits
	emitter    *event.Emitter
	links      *nflog.Links // nil if the interfaces are not known
	server     *server      // nil without --listen
	opening    atomic.Bool  // the server answers, and New still sets the fields above

	shutdownWithin time.Duration
	now            func() time.Time
	log            *slog.Logger
}

// Run is the way of a packet, from top to bottom, until ctx ends. Then the
// stages end one after the other, in the same order, so that what the kernel
// has received is still written; each has its time, and a stage that does not
// end in it is left behind.
func (a *Agent) Run(ctx context.Context) error {
	defer a.close()
	handOver, leave, closing, cancel := a.deadlines(ctx)
	defer cancel()
	beside := a.startBeside(ctx)
	writing := a.startWriting(ctx)

	// kernel → nflog → decode → flow: see receiver
	var receiving errgroup.Group
	for _, r := range a.receivers {
		context.AfterFunc(ctx, r.reader.Stop)
		receiving.Go(func() error { return r.run(handOver) })
		if r.reader.Err() == nil {
			a.log.Info("receiving packets", "group", r.group)
		}
	}

	// flow → resolve → explain → emit: see deliverer. Addresses mean nothing before pods
	// are known; folding goes on meanwhile.
	a.waitForPods(ctx)
	var delivering sync.WaitGroup
	for i, d := range a.deliverers {
		delivering.Go(func() { d.run(a.receivers[i].table.Windows()) })
	}

	received := make(chan error, 1)
	if !endsBefore(leave, func() { received <- receiving.Wait() }) {
		received <- errors.New("reading packets did not end in time, the last of them are not reported")
	}
	err := <-received
	if !endsBefore(handOver, func() {
		delivering.Wait()
		a.resolver.Release() // flows that wait for their pods go out as they are
	}) {
		a.log.Warn("some flows were not handed on: is standard output read?")
	}

	// emit → Kubernetes: the last events
	writing.stop(closing)
	if flushErr := a.emitter.Flush(closing); flushErr != nil {
		a.log.Warn("some events were not written", "error", flushErr)
	}
	beside.stop(closing)
	a.log.Info("stopped")
	return err
}

// endsBefore says whether f has ended before ctx.
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

func (a *Agent) waitForPods(ctx context.Context) {
	if err := a.resolver.WaitSynced(ctx); err != nil {
		a.log.Warn("stopping before pods were known: flows are reported with bare addresses")
	}
	ctx, cancel := context.WithTimeout(ctx, policiesWithin)
	defer cancel()
	a.limits.Wait(ctx)
	if err := a.explainer.WaitSynced(ctx); err != nil && !errors.Is(err, context.Canceled) {
		a.log.Warn("NetworkPolicies are not known yet: flows are reported without them meanwhile", "error", err)
	}
}

// policiesWithin is how long flows wait for the list of policies at the start:
// a report without them is better than none.
const policiesWithin = 10 * time.Second

// deadlines returns three contexts that end after ctx: at half of
// --shutdown-within the flows are to be handed on, an eighth later readers that
// have not ended are left behind, and at its end the events are to be written.
func (a *Agent) deadlines(ctx context.Context) (handOver, leave, closing context.Context, cancel context.CancelFunc) {
	closing, cancelClosing := context.WithCancel(context.WithoutCancel(ctx))
	leave, cancelLeave := context.WithCancel(closing)
	handOver, cancelHandOver := context.WithCancel(leave)
	context.AfterFunc(ctx, func() {
		time.AfterFunc(a.shutdownWithin/2, cancelHandOver)
		time.AfterFunc(a.shutdownWithin*5/8, cancelLeave)
		time.AfterFunc(a.shutdownWithin, cancelClosing)
	})
	return handOver, leave, closing, func() { cancelHandOver(); cancelLeave(); cancelClosing() }
}

// close gives up what New has opened, if run has not yet.
func (a *Agent) close() {
	if a.server != nil {
		_ = a.server.close() // run may have closed it
	}
	if a.links != nil {
		_ = a.links.Close() // run may have closed them
	}
	for _, r := range a.receivers {
		if r.running.Load() {
			continue // it was left behind, and its reader is its own
		}
		if err := r.reader.Close(); err != nil {
			a.log.Warn("could not close a reader", "error", err)
		}
	}
}
