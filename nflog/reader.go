package nflog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Count is what one Read received, and what was lost before it.
type Count struct {
	// Packets is how many were handed to the callback.
	Packets int
	// Malformed is how many messages could not be parsed. A working kernel sends
	// none.
	Malformed int
	// Lost is how many packets the kernel numbered but could not deliver.
	Lost uint64
	// Overruns is how often the socket's receive buffer was full. Each overrun lost
	// some packets. The next packet's number shows how many; they are then in Lost.
	Overruns int
	// Unsized is how many overruns, of this Read or an earlier one, had no packet
	// after them for a second, or before the Reader ended or its socket failed. How
	// many packets these lost is not known. If a packet does follow later, its Lost
	// includes them.
	Unsized int
	// Reopened says that the socket had failed and the group was bound again. The
	// packets in between were not numbered and are not in Lost.
	Reopened bool
}

var errClosed = errors.New("the reader is closed")

// How long a Reader waits before it binds the group again.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// sizeWithin is how long after an overrun a packet must follow to show its size. The
// kernel hands lone packets over within the flush timeout, which is shorter.
const sizeWithin = time.Second

// longWait is the shortest wait that Config.OnIdle is told of. Between packets and
// a flow table's deadlines there are many shorter ones.
const longWait = 30 * time.Second

// Reader receives the packets of one group. Bound, Err and Stop may be called by any
// goroutine, the rest by one.
type Reader struct {
	cfg      Config
	log      *slog.Logger
	buf      []byte
	parser   Parser
	sizeBy   time.Time // when unsized overruns are reported as such; zero for none
	backoff  time.Duration
	retryAt  time.Time // when to bind again; used while the group is not bound
	draining bool
	pauses   coalescer
	stopped  chan struct{}

	mu    sync.Mutex // guards the fields below: fail and reopen write them, Bound, Err and Stop read them
	conn  *conn      // nil while the group is not bound
	err   error      // why the group is not bound; nil while it is
	bound bool       // the group has been bound before
}

// Open binds the group. Its error is an *OpenError, which says what to do.
func Open(cfg Config, log *slog.Logger) (*Reader, error) {
	cfg = cfg.withDefaults()
	c, err := dial(cfg)
	if err != nil && (!cfg.AwaitGroup || !errors.Is(err, ErrGroupTaken)) {
		return nil, err
	}
	r := &Reader{
		cfg: cfg, log: log.With("group", cfg.Group), conn: c, err: err, bound: err == nil,
		buf: make([]byte, readBuffer), backoff: minBackoff, stopped: make(chan struct{}),
	}
	r.retryAt = time.Now().Add(r.backoff)
	return r, nil
}

// Group returns the NFLOG group.
func (r *Reader) Group() uint16 { return r.cfg.Group }

// Bound reports whether the group is bound. It is not while a failed socket is being
// replaced, or while another process owns the group.
func (r *Reader) Bound() bool { return r.Err() == nil }

// Err returns why the group is not bound, or nil while it is. It is an *OpenError if
// the kernel refused to bind the group. It stays the same error until the reason
// changes.
func (r *Reader) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Stop makes Read give up the group, hand out what the kernel had received by then,
// and end. Call it at most once.
func (r *Reader) Stop() {
	close(r.stopped)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		// Wakes a Read that waits. It fails only if the poller is closed.
		_ = r.conn.poller.wake()
	}
}

// Close gives up the group. What is unread in the socket is lost. Read must not be
// called after it.
func (r *Reader) Close() error {
	c := r.conn
	if c == nil {
		return nil
	}
	r.setConn(nil, errClosed)
	if err := c.close(); err != nil {
		return fmt.Errorf("close NFLOG group %d: %w", r.cfg.Group, err)
	}
	return nil
}

// Read waits for the kernel's next datagram and calls handle for each packet in it,
// in order. It returns an empty Count at the deadline, unless that is zero; under
// load it may return up to 20 ms later. If the socket fails, Read binds the group
// again, as often as it takes, with growing pauses. After Stop, Read returns io.EOF
// once nothing is left to hand out.
func (r *Reader) Read(deadline time.Time, handle func(*Packet)) (Count, error) {
	if r.isStopped() && !r.draining {
		r.drain()
	}
	if r.conn == nil {
		return r.reopen(deadline)
	}
	n, err := r.receive(r.earliest(deadline))
	switch {
	case err == nil:
		return r.parse(n, handle), nil
	case errors.Is(err, unix.ENOBUFS):
		return r.overrun(), nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.EINTR):
		return r.unsized(false), nil
	case r.draining && errors.Is(err, unix.EAGAIN):
		return r.unsized(true), io.EOF
	case r.draining:
		return r.unsized(true), fmt.Errorf("drain NFLOG group %d: %w", r.cfg.Group, err)
	}
	r.fail(err)
	return r.unsized(true), nil
}

// parse hands out a datagram's packets.
func (r *Reader) parse(n int, handle func(*Packet)) Count {
	count := r.parser.Parse(r.buf[:n], handle)
	if r.parser.seq.unsized == 0 {
		r.sizeBy = time.Time{}
	}
	return count
}

// overrun records that the receive buffer was full.
func (r *Reader) overrun() Count {
	r.parser.seq.unsized++
	r.sizeBy = time.Now().Add(sizeWithin)
	return Count{Overruns: 1}
}

// earliest returns the deadline, or sizeBy if that is earlier.
func (r *Reader) earliest(deadline time.Time) time.Time {
	if r.sizeBy.IsZero() || !deadline.IsZero() && deadline.Before(r.sizeBy) {
		return deadline
	}
	return r.sizeBy
}

// unsized returns the overruns whose size will not be known, because no packet came
// in time or because the numbers end here.
func (r *Reader) unsized(end bool) Count {
	if r.sizeBy.IsZero() || !end && time.Now().Before(r.sizeBy) {
		return Count{}
	}
	r.sizeBy = time.Time{}
	return Count{Unsized: r.parser.seq.takeUnsized()}
}

// receive reads one datagram into r.buf.
func (r *Reader) receive(deadline time.Time) (int, error) {
	for {
		n, err := unix.Read(r.conn.socket, r.buf)
		if !errors.Is(err, unix.EAGAIN) || r.draining {
			r.pauses.received(n) // n is -1 after an overrun, which ends the pauses
			return n, err
		}
		if err := r.wait(deadline); err != nil {
			return 0, err
		}
	}
}

// wait waits until there may be a datagram: for a fixed time while many come, else
// for the next one.
func (r *Reader) wait(deadline time.Time) (err error) {
	if pause := r.pauses.pause(); pause > 0 && r.conn.largeBuffer {
		err = r.conn.poller.pause(pause)
	} else {
		err = r.await(deadline)
	}
	if err != nil {
		return fmt.Errorf("wait for packets: %w", err)
	}
	return nil
}

// await waits for the next datagram.
func (r *Reader) await(deadline time.Time) error {
	if deadline.IsZero() || time.Until(deadline) > longWait {
		r.cfg.OnIdle(true)
		defer r.cfg.OnIdle(false)
	}
	return r.conn.poller.await(deadline)
}

func (r *Reader) isStopped() bool {
	select {
	case <-r.stopped:
		return true
	default:
		return false
	}
}

// drain gives up the group. The kernel then puts what it held back for a fuller
// datagram into the socket, and reads no longer wait.
func (r *Reader) drain() {
	r.draining = true
	if r.conn == nil {
		return
	}
	if err := r.conn.unbind(); err != nil {
		r.log.Warn("could not unbind the NFLOG group, its last packets may be missing", "error", err)
	}
}

// fail gives up a socket that can no longer be read.
func (r *Reader) fail(err error) {
	r.log.Error("reading from the NFLOG group failed, binding it again", "error", err)
	_ = r.conn.close() // it has failed already
	r.setConn(nil, fmt.Errorf("reading from NFLOG group %d failed: %w", r.cfg.Group, err))
	r.retryAt = time.Now().Add(r.backoff)
}

// reopen waits until it is time to bind the group again and tries once, or waits
// until the deadline if that is earlier.
func (r *Reader) reopen(deadline time.Time) (Count, error) {
	if r.draining {
		return Count{}, io.EOF
	}
	until, try := r.retryAt, true
	if !deadline.IsZero() && deadline.Before(until) {
		until, try = deadline, false
	}
	wait := time.NewTimer(time.Until(until))
	defer wait.Stop()
	select {
	case <-r.stopped:
		return Count{}, nil
	case <-wait.C:
	}
	if !try {
		return Count{}, nil
	}
	return Count{Reopened: r.redial()}, nil
}

// redial tries to bind the group. It reports whether it replaced a failed socket.
func (r *Reader) redial() bool {
	c, err := dial(r.cfg)
	if err != nil {
		r.backoff = min(2*r.backoff, maxBackoff)
		r.retryAt = time.Now().Add(r.backoff)
		r.refused(err)
		return false
	}
	r.log.Info("bound the NFLOG group")
	replaced := r.bound
	r.setConn(c, nil)
	r.backoff, r.parser.seq = minBackoff, sequence{lost: r.parser.seq.lost}
	return replaced
}

// refused logs why the group could not be bound: each new reason as an error, the
// same reason again only for debugging.
func (r *Reader) refused(err error) {
	level := slog.LevelDebug
	if before := r.Err(); before == nil || before.Error() != err.Error() {
		level = slog.LevelError
		r.setConn(nil, err)
	}
	r.log.Log(context.Background(), level, "could not bind the NFLOG group", "error", err, "retry", r.backoff)
}

// setConn sets the socket, or the reason why there is none.
func (r *Reader) setConn(c *conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.err, r.bound = c, err, r.bound || c != nil
}
