//go:build linux

package watch

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

// Bounds for a watch whose reader may be gone: kubectl exec leaves the process in the
// agent's container, where it takes memory.
const (
	Unattended   = 30 * time.Minute // a watch of an agent without a terminal
	outputWithin = 5 * time.Minute  // one write of a watch of an agent
)

// The causes for which a watch ends.
var (
	errOutputClosed = errors.New("standard output is closed")
	errTimeOver     = errors.New("the time is over")
)

// Output is a watch's output. stuck is closed if a write takes longer than outputWithin.
type Output struct {
	io.Writer

	stuck chan struct{}
	once  sync.Once
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{Writer: w, stuck: make(chan struct{})} }

// TerminalSize returns a function that returns the terminal's size, or nil if the output is
// no terminal.
func (o *Output) TerminalSize() func() (width, height int) {
	f, ok := o.Writer.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}
}

// Write writes to the Writer.
func (o *Output) Write(b []byte) (int, error) {
	timer := time.AfterFunc(outputWithin, func() { o.once.Do(func() { close(o.stuck) }) })
	defer timer.Stop()
	return o.Writer.Write(b)
}

// Lifetime says when a watch ends.
type Lifetime struct {
	For     time.Duration // how long to watch, 0 for no end
	OfAgent bool          // end when nobody reads the output, because the watch takes a follower's place
}

// Run calls run. It ends when run ends, ctx ends, the time is over, or nobody reads the
// output any more.
func (l Lifetime) Run(ctx context.Context, out *Output, run func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if f, ok := out.Writer.(*os.File); ok {
		go func() {
			awaitClosed(f)
			cancel(errOutputClosed)
		}()
	}
	if l.For > 0 {
		defer time.AfterFunc(l.For, func() { cancel(errTimeOver) }).Stop()
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stuck := out.stuck
	if !l.OfAgent {
		stuck = nil // the watch takes nobody else's place
	}
	select {
	case err := <-ended:
		if err == nil && errors.Is(context.Cause(ctx), errTimeOver) {
			_, err = fmt.Fprintf(os.Stderr, "kube-nflog: ended after %v: --for DURATION watches longer, --for 0 without end\n", l.For)
		}
		return err
	case <-stuck:
		return fmt.Errorf("nobody has read standard output for %v", outputWithin)
	}
}

// awaitClosed waits until the reader of a pipe, or the terminal, is gone.
func awaitClosed(f *os.File) {
	fds := []unix.PollFd{{Fd: int32(f.Fd())}} // errors and hang-ups are always reported
	for {
		n, err := unix.Poll(fds, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
