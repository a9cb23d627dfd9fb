package event

import (
	"context"
	"sync"
	"time"
)

// caller makes calls to the API server, from several goroutines at once.
type caller interface {
	call(ctx context.Context, j *job) answer
}

// Run writes what is due until ctx ends, then ends the calls under way and
// returns nil when its goroutines have. Without a client it only waits.
func (e *Emitter) Run(ctx context.Context) error {
	if e.api == nil {
		<-ctx.Done()
		return nil
	}
	e.write(ctx, func(time.Time) bool { return false })
	return nil
}

// Flush writes all that is pending, whatever its schedule and limits say,
// until ctx ends. What is left then is counted as unwritten, and said in an
// *UnwrittenError. It is called once, after Run has returned and with no Add
// to come.
func (e *Emitter) Flush(ctx context.Context) error {
	if e.api == nil {
		return nil
	}
	e.mu.Lock()
	e.ledger.drain(e.cfg.Now())
	e.mu.Unlock()
	e.write(ctx, e.ledger.drained)
	e.mu.Lock()
	defer e.mu.Unlock()
	if left := e.ledger.flushed(); left != nil {
		left.Cause = ctx.Err()
		return left
	}
	return nil
}

// write runs the writers until ctx ends or the ledger is done.
func (e *Emitter) write(ctx context.Context, done func(time.Time) bool) {
	callCtx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { stop(errStopped) })()
	jobs := make(chan *job)
	idle := make(chan struct{}, e.cfg.Writers)
	var writers sync.WaitGroup
	for i := range e.cfg.Writers {
		idle <- struct{}{}
		writers.Go(func() {
			for j := range jobs {
				e.pulses.begin(1+i, e.cfg.Now())
				e.do(callCtx, j)
				e.pulses.end(1 + i)
				idle <- struct{}{}
			}
		})
	}
	for e.dispatch(ctx, idle, jobs, done) {
	}
	close(jobs)
	writers.Wait()
	stop(nil)
}

// dispatch hands one job to an idle writer, which is chosen before the job, so
// that the job is the best one when it starts. It returns false at the end.
func (e *Emitter) dispatch(ctx context.Context, idle <-chan struct{}, jobs chan<- *job, done func(time.Time) bool) bool {
	select {
	case <-ctx.Done():
		return false
	case <-idle:
	}
	j := e.await(ctx, done)
	if j == nil {
		return false
	}
	jobs <- j
	return true
}

// await waits for a job that may start; nil at the end.
func (e *Emitter) await(ctx context.Context, done func(time.Time) bool) *job {
	for ctx.Err() == nil {
		now := e.cfg.Now()
		e.pulses.begin(0, now)
		e.mu.Lock()
		j, wait := e.ledger.take(now)
		end := j == nil && done(now)
		e.mu.Unlock()
		e.pulses.end(0)
		if j != nil || end {
			return j
		}
		e.sleep(ctx, wait)
	}
	return nil
}

// sleep waits for a time, for a change, or for the end.
func (e *Emitter) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-e.changed:
	case <-timer.C:
	}
}

// do makes the call of a job and enters its answer.
func (e *Emitter) do(ctx context.Context, j *job) {
	j.started = e.cfg.Now()
	a := e.api.call(ctx, j)
	now := e.cfg.Now()
	e.account.called(j.op, a.result, now.Sub(j.started))
	e.refused.note(j, a, now)
	e.mu.Lock()
	e.log.note(j, a, now)
	e.ledger.settle(j, a, now)
	e.mu.Unlock()
	e.wakeUp()
}
