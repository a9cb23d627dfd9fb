package event

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// caller makes calls to the API server, from several goroutines at once.
type caller interface {
	call(ctx context.Context, req *request) response
}

// Run writes what is due until ctx ends, then ends the calls under way and
// returns nil when its goroutines have. Without a client it only waits.
func (s *Sink) Run(ctx context.Context) error {
	if s.api == nil {
		<-ctx.Done()
		return nil
	}
	s.write(ctx, func(time.Time) bool { return false })
	return nil
}

// Flush writes all that is pending, whatever its schedule and limits say,
// until ctx ends. What is left then is counted as unwritten, and said in an
// *unwrittenError. It is called once, after Run has returned and with no Add
// to come.
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

// write runs the writers until ctx ends or the correlator is done.
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

// dispatch hands one request to an idle writer, which is chosen before the request, so
// that the request is the best one when it starts. It returns false at the end.
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

// await waits for a request that may start; nil at the end.
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

// sleep waits for a time, for a change, or for the end.
func (s *Sink) sleep(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.changed:
	case <-timer.C:
	}
}

// do makes the call of a request and enters its answer.
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

// unwrittenError says what Flush could not write by its deadline.
type unwrittenError struct {
	Events  int      // event objects concerned
	Packets uint64   // that they lack
	Pods    []string // the first few of the objects concerned, "namespace/name"
	Cause   error    // why it ended, nil when all that is left was refused
}

func (u *unwrittenError) add(e *eventEntry) {
	u.Events++
	u.Packets += e.pending()
	key := &e.object.key
	if name := key.eventNamespace() + "/" + key.name; len(u.Pods) < maxNamed {
		u.Pods = append(u.Pods, name)
	}
}

// Error says how much was not written, where and why.
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
