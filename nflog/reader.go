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

// Count says what one Read received and what was lost on the way to it.
type Count struct {
	// Packets is how many were handed to the callback.
	Packets int
	// Malformed is how many messages could not be walked; a working kernel
	// sends none.
	Malformed int
	// Lost is how many packets the kernel numbered but could not deliver.
	Lost uint64
	// Overruns is how often the socket's receive buffer was full. Each lost
	// some packets; the gap in their numbers, seen at the next packet, says
	// how many.
	Overruns int
	// Unsized is how many of the overruns, of this Read or an earlier one, no
	// packet has followed for a second, or until the Reader ended or its socket
	// failed: nothing tells how many packets they lost. If a packet follows later
	// all the same, they are in its Lost.
	Unsized int
	// Reopened says that the socket had failed and was bound anew; packets
	// that came in between were not numbered and are not in Lost.
	Reopened bool
}

var errClosed = errors.New("the reader is closed")

// How long a Reader waits before it binds a failed socket anew.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
)

// tellWithin is how long after an overrun a packet must follow that tells its
// size. The kernel hands lone packets over within the flush timeout.
const tellWithin = time.Second

// longWait is how long a wait must be for Config.Waits to be told of it: between
// packets and a flow table's deadlines there are many shorter ones.
const longWait = 30 * time.Second

// Reader receives the packets of one group. Bound, Err and Stop may be called by
// anyone, the rest by one goroutine.
type Reader struct {
	cfg      Config
	log      *slog.Logger
	buf      []byte
	parser   Parser
	tellAt   time.Time // when overruns that are untold are given up; zero for none
	backoff  time.Duration
	retryAt  time.Time // while the socket has failed: when to bind anew
	draining bool
	pace     pace
	stopped  chan struct{}

	mu   sync.Mutex // guards what follows, which Bound, Err and Stop read, against fail and reopen
	conn *conn      // nil while the group is not bound
	err  error      // why it is not; nil while it is
	was  bool       // it has been bound
}

// Open binds the group. Its error is an *OpenError that says what to do.
func Open(cfg Config, log *slog.Logger) (*Reader, error) {
	cfg = cfg.withDefaults()
	c, err := dial(cfg)
	if err != nil && (!cfg.AwaitGroup || !errors.Is(err, ErrGroupTaken)) {
		return nil, err
	}
	r := &Reader{
		cfg: cfg, log: log.With("group", cfg.Group), conn: c, err: err, was: err == nil,
		buf: make([]byte, readBuffer), backoff: minBackoff, stopped: make(chan struct{}),
	}
	r.retryAt = time.Now().Add(r.backoff) // if it is not bound
	return r, nil
}

// Group returns the NFLOG group.
func (r *Reader) Group() uint16 { return r.cfg.Group }

// Bound reports whether the group is bound; not while a failed socket is being
// replaced, or another process owns the group.
func (r *Reader) Bound() bool { return r.Err() == nil }

// Err returns why the group is not bound, nil while it is: an *OpenError where
// the kernel has refused to bind it. It is the same error until the reason
// changes.
func (r *Reader) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Stop lets Read give up the group, hand out what the kernel had received by
// then, and end. It is called at most once.
func (r *Reader) Stop() {
	close(r.stopped)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		// Wakes a Read that waits. Fails only on a closed socket.
		_ = r.conn.gate.wake()
	}
}

// Close gives up the group, and what is unread in the socket with it. It
// is not to be read then.
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

// Read waits for the kernel's next datagram and calls handle for each packet
// in it, in order. It returns with an empty Count at the deadline, if that is
// not zero; under load up to 20 ms later. When the socket fails it binds the
// group anew, as often as it takes, with growing pauses. After Stop it returns
// io.EOF once nothing is left to hand out.
func (r *Reader) Read(deadline time.Time, handle func(*Packet)) (Count, error) {
	if r.isStopped() && !r.draining {
		r.drain()
	}
	if r.conn == nil {
		return r.reopen(deadline)
	}
	n, err := r.receive(r.earlier(deadline))
	switch {
	case err == nil:
		return r.parse(n, handle), nil
	case errors.Is(err, unix.ENOBUFS):
		return r.overrun(), nil
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.EINTR):
		return r.tell(false), nil
	case r.draining && errors.Is(err, unix.EAGAIN):
		return r.tell(true), io.EOF
	case r.draining:
		return r.tell(true), fmt.Errorf("drain NFLOG group %d: %w", r.cfg.Group, err)
	}
	r.fail(err)
	return r.tell(true), nil
}

// parse hands a datagram's packets out and adds up what is missing.
func (r *Reader) parse(n int, handle func(*Packet)) Count {
	count := r.parser.Parse(r.buf[:n], handle)
	if r.parser.seq.untold == 0 {
		r.tellAt = time.Time{}
	}
	return count
}

// overrun notes that the receive buffer was full.
func (r *Reader) overrun() Count {
	r.parser.seq.untold++
	r.tellAt = time.Now().Add(tellWithin)
	return Count{Overruns: 1}
}

// earlier returns the deadline, or when overruns that are untold are given up if
// that is earlier.
func (r *Reader) earlier(deadline time.Time) time.Time {
	if r.tellAt.IsZero() || !deadline.IsZero() && deadline.Before(r.tellAt) {
		return deadline
	}
	return r.tellAt
}

// tell returns the overruns whose size nothing will tell, as it is time to say or
// the numbers end here.
func (r *Reader) tell(end bool) Count {
	if r.tellAt.IsZero() || !end && time.Now().Before(r.tellAt) {
		return Count{}
	}
	r.tellAt = time.Time{}
	return Count{Unsized: r.parser.seq.giveUp()}
}

// receive reads one datagram into r.buf.
func (r *Reader) receive(deadline time.Time) (int, error) {
	for {
		n, err := unix.Read(r.conn.socket, r.buf)
		if !errors.Is(err, unix.EAGAIN) || r.draining {
			r.pace.received(n) // -1 of a full buffer, which ends the pauses
			return n, err
		}
		if err := r.wait(deadline); err != nil {
			return 0, err
		}
	}
}

// wait waits until there may be a datagram: for a fixed time while there are
// many, else for the next.
func (r *Reader) wait(deadline time.Time) (err error) {
	if pause := r.pace.pause(); pause > 0 && r.conn.roomy {
		err = r.conn.gate.pause(pause)
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
		r.cfg.Waits(true)
		defer r.cfg.Waits(false)
	}
	return r.conn.gate.await(deadline)
}

func (r *Reader) isStopped() bool {
	select {
	case <-r.stopped:
		return true
	default:
		return false
	}
}

// drain gives up the group: what the kernel held back for a fuller datagram
// goes into the socket, and reads no longer wait.
func (r *Reader) drain() {
	r.draining = true
	if r.conn == nil {
		return
	}
	if err := r.conn.unbind(); err != nil {
		r.log.Warn("could not unbind the NFLOG group, its last packets may be missing", "error", err)
	}
}

// fail gives up a socket that cannot be read any more.
func (r *Reader) fail(err error) {
	r.log.Error("reading from the NFLOG group failed, binding it anew", "error", err)
	_ = r.conn.close() // it has failed already
	r.setConn(nil, fmt.Errorf("reading from NFLOG group %d failed: %w", r.cfg.Group, err))
	r.retryAt = time.Now().Add(r.backoff)
}

// reopen waits until it is time to bind the group anew and tries it once, or
// until the deadline.
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

// redial reports whether it has replaced a socket that had failed.
func (r *Reader) redial() bool {
	c, err := dial(r.cfg)
	if err != nil {
		r.backoff = min(2*r.backoff, maxBackoff)
		r.retryAt = time.Now().Add(r.backoff)
		r.refused(err)
		return false
	}
	r.log.Info("bound the NFLOG group")
	replaced := r.was
	r.setConn(c, nil)
	r.backoff, r.parser.seq = minBackoff, sequence{lost: r.parser.seq.lost}
	return replaced
}

// refused logs why the group could not be bound, once for each reason.
func (r *Reader) refused(err error) {
	level := slog.LevelDebug
	if before := r.Err(); before == nil || before.Error() != err.Error() {
		level = slog.LevelError
		r.setConn(nil, err)
	}
	r.log.Log(context.Background(), level, "could not bind the NFLOG group", "error", err, "retry", r.backoff)
}

// setConn sets the socket, or why there is none.
func (r *Reader) setConn(c *conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conn, r.err, r.was = c, err, r.was || c != nil
}
