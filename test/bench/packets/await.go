package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// poll is the interval between two checks of a condition.
	poll = 20 * time.Millisecond
	// patience is how long a condition may take.
	patience = 20 * time.Second
	// still is the CPU time that a process at rest may use.
	still = 100 * time.Microsecond
)

var errImpatient = errors.New("it takes too long")

// await returns when the condition holds.
func await(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errImpatient)
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// awaitBound returns the port id of the socket with which the process has
// bound the group.
func (l *lab) awaitBound(ctx context.Context, p *process) (port uint32, err error) {
	err = await(ctx, "the reader to bind its group", func() (bool, error) {
		if err := p.ended(); err != nil {
			return false, err
		}
		port, err = l.owner()
		return port != 0, err
	})
	return port, err
}

// awaitFree returns when nobody has bound the group.
func (l *lab) awaitFree(ctx context.Context) error {
	return await(ctx, "the group to be free", func() (bool, error) {
		port, err := l.owner()
		return port == 0, err
	})
}

// awaitRest waits until the CPU time of the process has not grown for the span, and
// returns it.
func (p *process) awaitRest(ctx context.Context, span time.Duration) (ran time.Duration, err error) {
	var before time.Duration
	since := time.Now()
	err = await(ctx, "the reader to be done", func() (bool, error) {
		if err := p.ended(); err != nil {
			return false, err
		}
		ran, err = p.cpu()
		if ran-before > still {
			before, since = ran, time.Now()
		}
		return time.Since(since) >= span, err
	})
	return ran, err
}
