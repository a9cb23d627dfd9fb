//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/flowstream"
	"github.com/kube-nflog/kube-nflog/internal/watch"
)

// addresses are where an agent may listen: where it was told to, or where
// deploy/ has it and where it is by default.
func (w *watchOptions) addresses() []string {
	if w.address != "" {
		return []string{w.address}
	}
	return []string{"127.0.0.1:19090", "127.0.0.1:9090"}
}

// followAgent shows the flows of the agent that answers first, until it or ctx
// ends.
func followAgent(ctx context.Context, addresses []string, view *watch.View) error {
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
		err = view.Run(flows)
		_ = flows.Close() // only read
		return followEnd(ctx, address, err)
	}
	return fmt.Errorf("no agent answers on this host (is it running, with --listen at another address? then say so by --agent-address):\n  %s",
		strings.ReplaceAll(errors.Join(errs...).Error(), "\n", "\n  "))
}

// followEnd says why following ended, nil where the user ended it.
func followEnd(ctx context.Context, address string, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // that is why there is an error
	case errors.As(err, new(watch.EndedError)):
		return fmt.Errorf("the agent at %s ended this: %w", address, err)
	case err == nil, errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the agent at %s has ended", address)
	}
	return fmt.Errorf("follow the agent at %s: %w", address, err)
}
