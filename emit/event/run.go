package event

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// caller sends requests to the API server, from several goroutines at once.
type caller interface {
	call(ctx context.Context, req *request) response
}

// Run writes what is due until ctx ends. Then it cancels the calls in flight and
// waits for its goroutines. Without a client it only waits. It always returns nil.
func (s *Sink) Run(ctx context.Context) error {
	if s.api == nil {
		<-ctx.Done()
		return nil
	}
	s.write(ctx, func(time.Time) bool { return false })
	return nil
}

// Flush writes everything that is pending, without its schedule and limits, until
// ctx ends. What is left is counted as unwritten, and the error tells how much. Call
// it once, after Run has returned and after the last Add.
func (s *Sink) Flush(ctx context.Context) error {
	if s.api == nil {
		return nil
	}
	s.mu.Lock()
	s.correlator.drain(s.cfg.Now())
	s.mu.Unlock()
	s.write(ctx, s.correlator.drained)
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.correlator.flushed(); left != nil {
		left.Cause = ctx.Err()
		return left
	}
	return nil
}

// write runs the writers until ctx ends or done returns true.
func (s *Sink) write(ctx context.Context, done func(time.Time) bool) {
	callCtx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { stop(errStopped) })()
	requests := make(chan *request)
	idle := make(chan struct{}, s.cfg.Writers)
	var writers sync.WaitGroup
	for i := range s.cfg.Writers {
		idle <- struct{}{}
		writers.Go(func() {
			for req := range requests {
				s.watchdog.begin(1+i, s.cfg.Now())
				s.do(callCtx, req)
				s.watchdog.end(1 + i)
				idle <- struct{}{}
			}
		})
	}
	for s.dispatch(ctx, idle, requests, done) {
	}
	close(requests)
	writers.Wait()
	stop(nil)
}

// dispatch hands one request to an idle writer. It waits for the writer first and
// chooses the request then, so that the request is the best one at that moment. It
// returns false at the end.
func (s *Sink) dispatch(ctx context.Context, idle <-chan struct{}, requests chan<- *request, done func(time.Time) bool) bool {
	select {
	case <-ctx.Done():
		return false
	case <-idle:
	}
	req := s.await(ctx, done)
	if req == nil {
		return false
	}
	requests <- req
	return true
}

// await waits for a request that may start. It returns nil at the end.
func (s *Sink) await(ctx context.Context, done func(time.Time) bool) *request {
	for ctx.Err() == nil {
		now := s.cfg.Now()
		s.watchdog.begin(0, now)
		s.mu.Lock()
		req, wait := s.correlator.nextRequest(now)
		end := req == nil && done(now)
		s.mu.Unlock()
		s.watchdog.end(0)
		if req != nil || end {
			return req
		}
		s.sleep(ctx, wait)
	}
	return nil
}

// sleep waits until the time is over, something changes, or ctx ends.
func (s *Sink) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.changed:
	case <-timer.C:
	}
}

// do sends a request and applies the response.
func (s *Sink) do(ctx context.Context, req *request) {
	req.started = s.cfg.Now()
	res := s.api.call(ctx, req)
	now := s.cfg.Now()
	s.counters.called(req.op, res.result, now.Sub(req.started))
	s.refused.note(req, res, now)
	s.mu.Lock()
	s.log.note(req, res, now)
	s.correlator.applyResult(req, res, now)
	s.mu.Unlock()
	s.wakeUp()
}

// maxNamed bounds the pods that an unwrittenError names.
const maxNamed = 5

// unwrittenError tells what Flush could not write by its deadline.
type unwrittenError struct {
	Events  int      // event objects that are not up to date
	Packets uint64   // packets that they lack
	Pods    []string // the first few of their pods, "namespace/name"
	Cause   error    // why Flush ended, nil if everything left was refused
}

func (u *unwrittenError) add(e *eventEntry) {
	u.Events++
	u.Packets += e.pending()
	key := &e.object.key
	if name := key.eventNamespace() + "/" + key.name; len(u.Pods) < maxNamed {
		u.Pods = append(u.Pods, name)
	}
}

// Error tells how much was not written, where and why.
func (u *unwrittenError) Error() string {
	text := fmt.Sprintf("event: %d events with %d packets not written (%s", u.Events, u.Packets, strings.Join(u.Pods, ", "))
	if u.Events > len(u.Pods) {
		text += ", …"
	}
	text += ")"
	if u.Cause != nil {
		text += ": " + u.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (u *unwrittenError) Unwrap() error { return u.Cause }

// watchdog finds a goroutine of Run that is stuck. Each goroutine notes when its
// current step began.
type watchdog []atomic.Int64 // Unix nanoseconds, 0 between steps

func (w watchdog) begin(i int, now time.Time) { w[i].Store(now.UnixNano()) }

func (w watchdog) end(i int) { w[i].Store(0) }

// longest returns how long the longest current step has taken.
func (w watchdog) longest(now time.Time) time.Duration {
	longest := time.Duration(0)
	for i := range w {
		if began := w[i].Load(); began != 0 {
			longest = max(longest, time.Duration(now.UnixNano()-began))
		}
	}
	return longest
}

// BusyFor returns how long the longest current step has taken: a call, or the
// choice of the next one. A call has a deadline, Config.CallTimeout. If a step takes
// much longer, the Sink is stuck. BusyFor may be called at any time.
func (s *Sink) BusyFor(now time.Time) time.Duration { return s.watchdog.longest(now) }
