package nflog

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openGate returns a gate to one end of a pair of sockets, and what sends a
// datagram from the other.
func openGate(t *testing.T) (g *gate, send func()) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if g, err = newGate(pair[0]); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(g.close(), unix.Close(pair[0]), unix.Close(pair[1])); err != nil {
			t.Error(err)
		}
	})
	return g, func() {
		if _, err := unix.Write(pair[1], []byte("x")); err != nil {
			t.Error(err)
		}
	}
}

func receiveOne(t *testing.T, g *gate) {
	t.Helper()
	if n, err := unix.Read(g.socket, make([]byte, 8)); n != 1 || err != nil {
		t.Fatalf("read %d bytes, %v", n, err)
	}
}

// TestGateOpens waits for datagrams that came before the wait, and during it,
// with a deadline and without.
func TestGateOpens(t *testing.T) {
	g, send := openGate(t)
	for range 3 {
		for _, deadline := range []time.Time{{}, time.Now().Add(time.Hour)} {
			send()
			if err := g.await(deadline); err != nil {
				t.Fatal(err)
			}
			receiveOne(t, g)
			waited := make(chan error, 1)
			go func() { waited <- g.await(deadline) }()
			send()
			if err := <-waited; err != nil {
				t.Fatal(err)
			}
			receiveOne(t, g)
		}
	}
}

// TestGateDeadline lets deadlines pass: one to come, one that passes while
// nobody waits, one long gone. A datagram is seen all the same.
func TestGateDeadline(t *testing.T) {
	g, send := openGate(t)
	soon := time.Now().Add(5 * time.Millisecond)
	for _, deadline := range []time.Time{soon, soon, time.Unix(1, 0)} {
		if err := g.await(deadline); !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(deadline) {
			t.Errorf("await(%v) = %v at %v", deadline, err, time.Now())
		}
	}
	send()
	if err := g.await(time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

// TestGatePause has datagrams come before and during a pause, which lasts.
func TestGatePause(t *testing.T) {
	g, send := openGate(t)
	if err := g.await(time.Now().Add(time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err) // the socket is armed now
	}
	send()
	const d = 5 * time.Millisecond
	begin := time.Now()
	if err := g.pause(d); err != nil || time.Since(begin) < d {
		t.Errorf("a pause of %v ended after %v: %v", d, time.Since(begin), err)
	}
	if err := g.await(time.Time{}); err != nil {
		t.Errorf("what came before the pause: %v", err)
	}
}

// TestGateWake ends a wait without a deadline, and those that follow.
func TestGateWake(t *testing.T) {
	g, _ := openGate(t)
	waited := make(chan error, 1)
	go func() { waited <- g.await(time.Time{}) }()
	if err := g.wake(); err != nil {
		t.Fatal(err)
	}
	for i, err := range []error{<-waited, g.await(time.Time{}), g.pause(time.Hour)} {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wait %d ended with %v", i, err)
		}
	}
}
