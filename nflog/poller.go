package nflog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller waits for the Reader's socket.
//
// The socket itself is not in the runtime's poller, and no runtime timer is used.
// With the socket there, each datagram would wake a thread of the process, even if
// no goroutine waits for it; with such a timer, the runtime's monitor thread would
// wake up too. Under load, either costs as much as receiving the packets. Instead
// an epoll instance is in the runtime's poller. It holds the socket, armed for one
// event each time the Reader waits for it, and a timerfd.
type poller struct {
	file          *os.File // the epoll instance
	raw           syscall.RawConn
	socket, timer int

	timerAt time.Time // when the timer fires, zero if it is not set
	fired   bool      // the timer fired during this wait
	arm     bool      // this wait is for the socket too
	armed   bool      // the socket is armed
	arrived bool      // the socket became readable during this wait

	check  func(epoll uintptr) bool // the method isOver, bound once so that a wait allocates nothing
	err    error                    // of check
	events [2]unix.EpollEvent
}

func newPoller(socket int) (*poller, error) {
	p := &poller{socket: socket}
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	p.timer = timer
	if err := p.open(); err != nil {
		return nil, errors.Join(err, unix.Close(timer))
	}
	p.check = p.isOver
	return p, nil
}

// open creates the epoll instance and registers it with the runtime's poller.
func (p *poller) open() error {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	err = errors.Join(
		unix.SetNonblock(epoll, true), // os.NewFile registers only non-blocking descriptors
		unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, p.socket, &unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(p.socket)}),
		unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, p.timer, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(p.timer)}),
	)
	p.file = os.NewFile(uintptr(epoll), "epoll")
	if err == nil {
		// os.NewFile does not report whether the runtime's poller accepted it. This does.
		err = p.file.SetReadDeadline(time.Time{})
	}
	if err == nil {
		p.raw, err = p.file.SyscallConn()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("set up epoll: %w", err), p.file.Close())
	}
	return nil
}

// await returns when the socket is readable. It returns os.ErrDeadlineExceeded at
// the deadline, unless that is zero, and after wake.
func (p *poller) await(deadline time.Time) error {
	if err := p.wait(deadline, true); err != nil {
		return err
	}
	if !p.arrived {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// pause returns after d, whether or not the socket is readable. It returns
// os.ErrDeadlineExceeded after wake.
func (p *poller) pause(d time.Duration) error { return p.wait(time.Now().Add(d), false) }

// wake ends the current wait and all later ones.
func (p *poller) wake() error { return p.file.SetReadDeadline(time.Unix(1, 0)) }

func (p *poller) close() error { return errors.Join(p.file.Close(), unix.Close(p.timer)) }

func (p *poller) wait(until time.Time, arm bool) error {
	if err := p.setTimer(until); err != nil {
		return err
	}
	p.arm, p.arrived, p.fired, p.err = arm, false, false, nil
	if err := p.raw.Read(p.check); err != nil {
		return err
	}
	return p.err
}

// setTimer sets the timer. It skips the system call if the timer is set to t
// already: the call costs as much as receiving some packets.
func (p *poller) setTimer(t time.Time) error {
	if t.Equal(p.timerAt) {
		return nil
	}
	var after unix.ItimerSpec // zero stops the timer
	if !t.IsZero() {
		after.Value = unix.NsecToTimespec(max(1, int64(time.Until(t))))
	}
	if err := unix.TimerfdSettime(p.timer, 0, &after, nil); err != nil {
		return os.NewSyscallError("timerfd_settime", err)
	}
	p.timerAt = t
	return nil
}

// isOver reports whether the wait is over. The runtime's poller calls it when the
// wait begins and at each event.
func (p *poller) isOver(epoll uintptr) bool {
	if p.arm && !p.armed {
		once := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(p.socket)}
		if err := unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, p.socket, &once); err != nil {
			p.err = os.NewSyscallError("epoll_ctl", err)
			return true
		}
		p.armed = true
	}
	n, err := unix.EpollWait(int(epoll), p.events[:], 0)
	if err != nil {
		p.err = os.NewSyscallError("epoll_wait", err)
		return true
	}
	for _, e := range p.events[:n] {
		if e.Fd == int32(p.timer) {
			p.fired, p.timerAt = true, time.Time{}
		} else {
			p.arrived, p.armed = true, false
		}
	}
	return p.fired || p.arm && p.arrived
}
