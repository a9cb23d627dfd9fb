package nflog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gate is where a Reader waits for its socket, under the runtime poller. Were
// the socket itself in the poller, each datagram would wake a thread of the
// process, whether or not somebody waits for it; and a timer of the runtime's
// would wake its monitor thread as well. Under load either costs as much as to
// receive the packets. So the poller has an epoll instance instead, and in that
// are the socket, armed for one event whenever somebody waits for it, and a
// timer of the kernel's.
type gate struct {
	file          *os.File // the epoll instance
	raw           syscall.RawConn
	socket, timer int

	rings   time.Time // when the timer does, zero if it is not set
	rang    bool      // it did in this wait
	arm     bool      // the socket, in this wait
	armed   bool      // the socket is
	arrived bool      // the socket has something, as this wait found

	pass   func(epoll uintptr) bool // made once, so that a wait allocates nothing
	err    error                    // pass's
	events [2]unix.EpollEvent
}

func newGate(socket int) (*gate, error) {
	g := &gate{socket: socket}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	g.timer = timer
	if err := g.open(); err != nil {
		return nil, errors.Join(err, unix.Close(timer))
	}
	g.pass = g.passes
	return g, nil
}

// open makes the epoll instance and gives it to the runtime poller.
func (g *gate) open() error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	err = errors.Join(
		unix.SetNonblock(epoll, true), // os.NewFile asks for that
		unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, g.socket, &unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(g.socket)}),
		unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, g.timer, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(g.timer)}),
	)
	g.file = os.NewFile(uintptr(epoll), "epoll")
	if err == nil {
		// os.NewFile does not say whether the runtime poller took it; this does.
		err = g.file.SetReadDeadline(time.Time{})
	}
	if err == nil {
		g.raw, err = g.file.SyscallConn()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("set up epoll: %w", err), g.file.Close())
	}
	return nil
}

// await returns when the socket has something to read; with
// os.ErrDeadlineExceeded at the deadline, if that is not zero, or after wake.
func (g *gate) await(deadline time.Time) error {
	if err := g.wait(deadline, true); err != nil {
		return err
	}
	if !g.arrived {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// pause returns after a while, whatever the socket has; with
// os.ErrDeadlineExceeded after wake.
func (g *gate) pause(d time.Duration) error { return g.wait(time.Now().Add(d), false) }

// wake ends all waits, and those to come.
func (g *gate) wake() error { return g.file.SetReadDeadline(time.Unix(1, 0)) }

func (g *gate) close() error { return errors.Join(g.file.Close(), unix.Close(g.timer)) }

func (g *gate) wait(until time.Time, arm bool) error {
	if err := g.ringAt(until); err != nil {
		return err
	}
	g.arm, g.arrived, g.rang, g.err = arm, false, false, nil
	if err := g.raw.Read(g.pass); err != nil {
		return err
	}
	return g.err
}

// ringAt sets the timer, unless it is set so: that costs as much as some packets.
func (g *gate) ringAt(t time.Time) error {
	if t.Equal(g.rings) {
		return nil
	}
	var after unix.ItimerSpec // zero stops it
	if !t.IsZero() {
		after.Value = unix.NsecToTimespec(max(1, int64(time.Until(t))))
	}
	if err := unix.TimerfdSettime(g.timer, 0, &after, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	g.rings = t
	return nil
}

// passes says whether the wait is over.
func (g *gate) passes(epoll uintptr) bool {
	if g.arm && !g.armed {
		once := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(g.socket)}
		if err := unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, g.socket, &once); err != nil {
			g.err = os.NewSyscallError("epoll_ctl", err)
			return true
		}
		g.armed = true
	}
	n, err := unix.EpollWait(int(epoll), g.events[:], 0)
	if err != nil {
		g.err = os.NewSyscallError("epoll_wait", err)
		return true
	}
	for _, e := range g.events[:n] {
		if e.Fd == int32(g.timer) {
			g.rang, g.rings = true, time.Time{}
		} else {
			g.arrived, g.armed = true, false
		}
	}
	return g.rang || g.arm && g.arrived
}
