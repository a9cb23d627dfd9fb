package nflog

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPoller returns a poller of one end of a pair of sockets, and a function that
// sends a datagram from the other end.
func openPoller(t *testing.T) (p *poller, send func()) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = newPoller(pair[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.close(), unix.Close(pair[0]), unix.Close(pair[1])); err != nil {
			t.Error(err)
		}
	})
	return p, func() {
		if _, err := unix.Write(pair[1], []byte("x")); err != nil {
			t.Error(err)
		}
	}
}

func receiveOne(t *testing.T, p *poller) {
	t.Helper()
	if n, err := unix.Read(p.socket, make([]byte, 8)); n != 1 || err != nil {
		t.Fatalf("read %d bytes, %v", n, err)
	}
}

// TestPollerReadable waits for datagrams that come before and during the wait, with a
// deadline and without.
func TestPollerReadable(t *testing.T) {
	p, send := openPoller(t)
	for range 3 {
		for _, deadline := range []time.Time{{}, time.Now().Add(time.Hour)} {
			send()
			if err := p.await(deadline); err != nil {
				t.Fatal(err)
			}
			receiveOne(t, p)
			waited := make(chan error, 1)
			go func() { waited <- p.await(deadline) }()
			send()
			if err := <-waited; err != nil {
				t.Fatal(err)
			}
			receiveOne(t, p)
		}
	}
}

// TestPollerDeadline has a deadline that passes during the wait, one that passed just
// before, and one long ago. A later wait still sees a datagram.
func TestPollerDeadline(t *testing.T) {
	p, send := openPoller(t)
	soon := time.Now().Add(5 * time.Millisecond)
	for _, deadline := range []time.Time{soon, soon, time.Unix(1, 0)} {
		if err := p.await(deadline); !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(deadline) {
			t.Errorf("await(%v) = %v at %v", deadline, err, time.Now())
		}
	}
	send()
	if err := p.await(time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

// TestPollerPause sends a datagram before a pause: the pause still lasts its time.
func TestPollerPause(t *testing.T) {
	p, send := openPoller(t)
	if err := p.await(time.Now().Add(time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err) // the socket is armed now
	}
	send()
	const d = 5 * time.Millisecond
	begin := time.Now()
	if err := p.pause(d); err != nil || time.Since(begin) < d {
		t.Errorf("a pause of %v ended after %v: %v", d, time.Since(begin), err)
	}
	if err := p.await(time.Time{}); err != nil {
		t.Errorf("what came before the pause: %v", err)
	}
}

// TestPollerWake ends a wait without a deadline, and the waits after it.
func TestPollerWake(t *testing.T) {
	p, _ := openPoller(t)
	waited := make(chan error, 1)
	go func() { waited <- p.await(time.Time{}) }()
	if err := p.wake(); err != nil {
		t.Fatal(err)
	}
	for i, err := range []error{<-waited, p.await(time.Time{}), p.pause(time.Hour)} {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wait %d ended with %v", i, err)
		}
	}
}
