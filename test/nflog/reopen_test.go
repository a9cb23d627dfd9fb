package nflog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// refusals counts how often a Reader could not bind its group again. It remembers the pause
// that the Reader announced last.
type refusals struct {
	slog.Handler

	count atomic.Int64
	pause atomic.Int64 // nanoseconds
}

func (*refusals) Enabled(context.Context, slog.Level) bool { return true }

func (r *refusals) WithAttrs([]slog.Attr) slog.Handler { return r }

func (r *refusals) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "retry" {
			r.pause.Store(int64(a.Value.Duration()))
			r.count.Add(1)
		}
		return true
	})
	return nil
}

// breakable is a Reader of group 1. The test can make its socket fail.
type breakable struct {
	*nflog.Reader
	*refusals

	ns     *netlab.Namespace
	socket int
}

func openBreakable(t *testing.T) *breakable {
	t.Helper()
	b := &breakable{refusals: &refusals{Handler: slog.DiscardHandler}, ns: newNamespace(t)}
	rules(t, b.ns, logInput)
	before := groupSockets(t)
	err := b.ns.Do(func() (err error) {
		b.Reader, err = nflog.Open(nflog.Config{Group: 1}, slog.New(b.refusals))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	for fd := range groupSockets(t) {
		if !before[fd] {
			b.socket = fd
			return b
		}
	}
	t.Fatal("no new socket of nfnetlink is among this process's descriptors")
	return nil
}

// groupSockets returns this process's nfnetlink sockets.
func groupSockets(t *testing.T) map[int]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]bool{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		// An error means that it is no socket, or no longer exists.
		domain, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		protocol, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if domain == unix.AF_NETLINK && protocol == unix.NETLINK_NETFILTER {
			found[fd] = true
		}
	}
	return found
}

// fail replaces the socket by a descriptor that cannot be read, which closes the socket. It
// waits until the Reader notices.
func (b *breakable) fail(t *testing.T) {
	t.Helper()
	unreadable, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(unreadable) }()
	if err := unix.Dup3(unreadable, b.socket, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	count, err := b.read(time.Time{})
	if err != nil || count != (nflog.Count{}) || b.Bound() {
		t.Fatalf("Read of a socket that fails = %+v, %v; bound %v", count, err, b.Bound())
	}
}

// read calls Read in the Reader's namespace, where it binds the group again.
func (b *breakable) read(deadline time.Time) (count nflog.Count, err error) {
	err = b.ns.Do(func() error {
		count, err = b.Read(deadline, func(*nflog.Packet) {})
		return err
	})
	return count, err
}

// awaitReopened reads until the group is bound again.
func (b *breakable) awaitReopened(t *testing.T) {
	t.Helper()
	for !b.Bound() {
		count, err := b.read(time.Time{})
		if want := (nflog.Count{Reopened: b.Bound()}); err != nil || count != want {
			t.Fatalf("Read = %+v, %v, want %+v", count, err, want)
		}
	}
	for socket := range groupSockets(t) {
		b.socket = socket // the only socket that is left
	}
}

func (b *breakable) send(t *testing.T, packets int) {
	t.Helper()
	if err := b.ns.Send(datagrams(64), packets); err != nil {
		t.Fatal(err)
	}
}

// steal reads the next datagram from the socket, so that the Reader does not get it.
func (b *breakable) steal(t *testing.T) {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(b.socket), Events: unix.POLLIN}}, 10_000)
	if err == nil && n == 1 {
		_, err = unix.Read(b.socket, make([]byte, 1<<16))
	}
	if err != nil || n != 1 {
		t.Fatalf("no datagram came: %v", err)
	}
}

// awaitCall waits until a goroutine blocks in a function, by its name in stack traces.
func awaitCall(t *testing.T, function string) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	stacks := make([]byte, 1<<20)
	for {
		for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
			header, calls, _ := strings.Cut(stack, "\n")
			if strings.Contains(calls, function+"(") && !strings.Contains(header, "[run") {
				return
			}
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("no goroutine waits in %s", function)
		}
	}
}

// TestReopen removes the socket in the middle of a sequence. The group must be bound again,
// and nothing may count as lost where the numbers start again.
func TestReopen(t *testing.T) {
	r := openBreakable(t)
	for range 2 {
		r.send(t, 3)
		packets, total := readAll(t, r.Reader)
		if len(packets) != 3 || total.Lost != 0 {
			t.Fatalf("%d packets, %+v: %+v", len(packets), total, packets)
		}
		r.fail(t)
		r.awaitReopened(t)
	}
	// The first of the new numbers are lost, and must be counted: nothing remains of the
	// old numbers.
	r.send(t, 2)
	r.steal(t)
	r.send(t, 1)
	if packets, total := readAll(t, r.Reader); len(packets) != 1 || total.Lost != 2 {
		t.Errorf("%d packets and %d lost after a datagram with 2 was taken away", len(packets), total.Lost)
	}
	if n := r.count.Load(); n != 0 {
		t.Errorf("%d attempts to bind a free group failed", n)
	}
}

// TestReopenTaken lets another socket own the group. The pauses between attempts must grow,
// however often Read is called. Then the group is free and is bound.
func TestReopenTaken(t *testing.T) {
	r := openBreakable(t)
	earliest := time.Now().Add(100 * time.Millisecond) // the time of the next attempt
	r.fail(t)
	other := open(t, r.ns, nflog.Config{Group: 1})
	calls := 0
	for r.count.Load() < 3 {
		attempts, begin := r.count.Load(), time.Now()
		deadline := begin.Add(time.Millisecond)
		count, err := r.read(deadline)
		calls++
		now := time.Now()
		if err != nil || count != (nflog.Count{}) || r.Bound() {
			t.Fatalf("Read while the group is taken = %+v, %v; bound %v", count, err, r.Bound())
		}
		switch {
		case r.count.Load() == attempts && now.Before(deadline):
			t.Fatalf("Read returned %v before its deadline", deadline.Sub(now))
		case r.count.Load() > attempts && now.Before(earliest):
			t.Fatalf("attempt %d came %v before the pause was over", attempts+1, earliest.Sub(now))
		case r.count.Load() > attempts:
			earliest = begin.Add(time.Duration(r.pause.Load()))
		}
	}
	if pause := time.Duration(r.pause.Load()); pause != 800*time.Millisecond {
		t.Errorf("the pause after three attempts is %v, want 800ms", pause)
	}
	if calls < 10 {
		t.Errorf("%d calls of Read took 700 ms: it does not return at its deadline", calls)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	r.awaitReopened(t)
}

// TestStopWhileUnbound stops a Reader that waits to bind its group again. It must end at
// once, without another attempt.
func TestStopWhileUnbound(t *testing.T) {
	r := openBreakable(t)
	r.fail(t)
	open(t, r.ns, nflog.Config{Group: 1})
	const attempts = 4 // the pause after these is 1.6 s
	for r.count.Load() < attempts {
		if _, err := r.read(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := r.read(time.Time{}); err != nil {
				ended <- err
				return
			}
		}
	}()
	awaitCall(t, "nflog.(*Reader).reopen")
	r.Stop()
	select {
	case err := <-ended:
		if !errors.Is(err, io.EOF) {
			t.Errorf("Read after Stop = %v, want EOF", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Read still waits after Stop")
	}
	if n := r.count.Load(); n != attempts {
		t.Errorf("%d further attempts to bind the group after Stop", n-attempts)
	}
}
