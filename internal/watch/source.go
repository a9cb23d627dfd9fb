package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/flowstream"
)

// FollowAgent shows the flows of the agent that answers first, until the agent or ctx ends.
func (v *View) FollowAgent(ctx context.Context, addresses []string) error {
	var errs []error
	for _, address := range addresses {
		flows, err := flowstream.Open(ctx, address)
		if err != nil && ctx.Err() != nil {
			return nil //nolint:nilerr // the user ended it
		}
		if errors.As(err, new(flowstream.RefusedError)) {
			return err
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		err = v.Run(flows)
		_ = flows.Close() // only read
		return followEnd(ctx, address, err)
	}
	return fmt.Errorf("no agent answers on this host (is it running, with --listen at another address? then say so by --agent-address):\n  %s",
		strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "\n  "))
}

// followEnd returns why following ended, nil if the user ended it.
func followEnd(ctx context.Context, address string, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the user's end is the cause of the error
	case errors.As(err, new(EndedError)):
		return fmt.Errorf("the agent at %s ended this: %w", address, err)
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the agent at %s has ended", address)
	}
	return fmt.Errorf("follow the agent at %s: %w", address, err)
}

// Host shows the lines of a source on this host. open returns a function that runs the
// source, or an error. The source runs until ctx or the view ends.
func (v *View) Host(ctx context.Context, open func(ctx context.Context, lines io.Writer) (run func(context.Context) error, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines, in := io.Pipe()
	run, err := open(ctx, in)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		err := run(ctx)
		_ = in.Close() // never fails
		ended <- err
	}()
	shown := v.Run(lines)
	// The source must not wait for a view that failed.
	_ = lines.Close() // never fails
	cancel()
	return errors.Join(shown, <-ended)
}
