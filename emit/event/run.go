package event

import (
	"context"
	"sync"
	"time"
)

// caller makes calls to the API server, from several goroutines at once.
type caller interface {
	call(ctx context.Context, j *request) response
}

// Run writes what is due until ctx ends, then ends the calls under way and
// returns nil when its goroutines have. Without a client it only waits.
func (e *Sink) Run(ctx context.Context) error {
	if e.api == nil {
		<-ctx.Done()
		return nil
	}
	e.write(ctx, func(time.Time) bool { return false })
	return nil
}

// Flush writes all that is pending, whatever its schedule and limits say,
// until ctx ends. What is left then is counted as unwritten, and said in an
// *unwrittenError. It is called once, after Run has returned and with no Add
// to come.
func (e *Sink) Flush(ctx context.Context) error {
	if e.api == nil {
		return nil
	}
	e.mu.Lock()
	e.correlator.drain(e.cfg.Now())
	e.mu.Unlock()
	e.write(ctx, e.correlator.drained)
	e.mu.Lock()
	defer e.mu.Unlock()
	if left := e.correlator.flushed(); left != nil {
		left.Cause = ctx.Err()
		return left
	}
	return nil
}

// write runs the writers until ctx ends or the correlator is done.
func (e *Sink) write(ctx context.Context, done func(time.Time) bool) {
	callCtx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { stop(errStopped) })()
	requests := make(chan *request)
	idle := make(chan struct{}, e.cfg.Writers)
	var writers sync.WaitGroup
	for i := range e.cfg.Writers {
		idle <- struct{}{}
		writers.Go(func() {
			for j := range requests {
				e.watchdog.begin(1+i, e.cfg.Now())
				e.do(callCtx, j)
				e.watchdog.end(1 + i)
				idle <- struct{}{}
			}
		})
	}
	for e.dispatch(ctx, idle, requests, done) {
	}
	close(requests)
	writers.Wait()
	stop(nil)
}

// dispatch hands one request to an idle writer, which is chosen before the request, so
// that the request is the best one when it starts. It returns false at the end.
func (e *Sink) dispatch(ctx context.Context, idle <-chan struct{}, requests chan<- *request, done func(time.Time) bool) bool {
	select {
	case <-ctx.Done():
		return false
	case <-idle:
	}
	j := e.await(ctx, done)
	if j == nil {
		return false
	}
	requests <- j
	return true
}

// await waits for a request that may start; nil at the end.
func (e *Sink) await(ctx context.Context, done func(time.Time) bool) *request {
	for ctx.Err() == nil {
		now := e.cfg.Now()
		e.watchdog.begin(0, now)
		e.mu.Lock()
		j, wait := e.correlator.nextRequest(now)
		end := j == nil && done(now)
		e.mu.Unlock()
		e.watchdog.end(0)
		if j != nil || end {
			return j
		}
		e.sleep(ctx, wait)
	}
	return nil
}

// sleep waits for a time, for a change, or for the end.
func (e *Sink) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-e.changed:
	case <-timer.C:
	}
}

// do makes the call of a request and enters its answer.
func (e *Sink) do(ctx context.Context, j *request) {
	j.started = e.cfg.Now()
	a := e.api.call(ctx, j)
	now := e.cfg.Now()
	e.counters.called(j.op, a.result, now.Sub(j.started))
	e.refused.note(j, a, now)
	e.mu.Lock()
	e.log.note(j, a, now)
	e.correlator.applyResult(j, a, now)
	e.mu.Unlock()
	e.wakeUp()
}
