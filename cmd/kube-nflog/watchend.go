//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// unset is --for where it was not given.
const unset = -1 * time.Nanosecond

// Bounds of a watch whose reader may have gone without a sign: kubectl exec
// leaves the process behind in the agent's container, where it takes memory.
const (
	unattended   = 30 * time.Minute // a watch of an agent without a terminal
	outputWithin = 5 * time.Minute  // one write of a watch of an agent
)

// The causes of a watch's end.
var (
	errOutputClosed = errors.New("standard output is closed")
	errTimeOver     = errors.New("the time is over")
)

// watchedOutput is a watch's output. stuck is closed when a write takes longer
// than outputWithin.
type watchedOutput struct {
	io.Writer

	stuck chan struct{}
	once  sync.Once
}

func (o *watchedOutput) Write(b []byte) (int, error) {
	timer := time.AfterFunc(outputWithin, func() { o.once.Do(func() { close(o.stuck) }) })
	defer timer.Stop()
	return o.Writer.Write(b)
}

// until watches until run ends by itself, ctx ends, the time is over, or nobody
// reads the output any more.
func (w *watchOptions) until(ctx context.Context, out *watchedOutput, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if f, ok := out.Writer.(*os.File); ok {
		go func() {
			awaitClosed(f)
			cancel(errOutputClosed)
		}()
	}
	duration := w.lasts()
	if duration > 0 {
		defer time.AfterFunc(duration, func() { cancel(errTimeOver) }).Stop()
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stuck := out.stuck
	if !w.agent {
		stuck = nil // it keeps nobody else out
	}
	select {
	case err := <-ended:
		if err == nil && errors.Is(context.Cause(ctx), errTimeOver) {
			_, err = fmt.Fprintf(os.Stderr, "kube-nflog: ended after %v: --for DURATION watches longer, --for 0 without end\n", duration)
		}
		return err
	case <-stuck:
		return fmt.Errorf("nobody has read standard output for %v", outputWithin)
	}
}

// lasts is how long to watch, 0 for no end.
func (w *watchOptions) lasts() time.Duration {
	switch {
	case w.duration != unset:
		return w.duration
	case w.agent && !term.IsTerminal(int(os.Stdin.Fd())):
		return unattended
	}
	return 0
}

// awaitClosed returns when the reader of a pipe, or the terminal, has gone.
func awaitClosed(f *os.File) {
	fds := []unix.PollFd{{Fd: int32(f.Fd())}} // errors and hang-ups are always reported
	for {
		n, err := unix.Poll(fds, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
