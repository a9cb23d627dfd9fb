package nflog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// logInput logs packets that arrive at UDP port 9, to group 1.
const logInput = `
table inet t {
	chain in {
		type filter hook input priority 0
		udp dport 9 log prefix "in" group 1
	}
}
`

func datagrams(payload int) netlab.Packet {
	return netlab.Packet{
		Source: loopback4, Destination: loopback4, Protocol: netlab.UDP, DestinationPort: 9, PayloadLength: payload,
	}
}

// TestLossesAddUp sends more than a small receive buffer holds while nobody reads. Received
// and lost packets must add up to the sent ones, and the overrun must be reported.
func TestLossesAddUp(t *testing.T) {
	ns := newNamespace(t)
	rules(t, ns, logInput)
	r := open(t, ns, nflog.Config{Group: 1, ReceiveBuffer: 64 << 10})
	const sent = 20_000
	if err := ns.Send(datagrams(64), sent); err != nil {
		t.Fatal(err)
	}
	// The next packet shows a gap. So empty the buffer and send one.
	_, total := readAll(t, r)
	if err := ns.Send(datagrams(64), 1); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	packets, rest := drain(t, r)
	received, lost := total.Packets+packets, total.Lost+rest.Lost
	if uint64(received)+lost != sent+1 || lost == 0 || total.Overruns == 0 {
		t.Errorf("%d received, %d lost, %d overruns; %d were sent", received, lost, total.Overruns, sent+1)
	}
}

func drain(t *testing.T, r *nflog.Reader) (packets int, total nflog.Count) {
	t.Helper()
	for {
		count, err := r.Read(time.Time{}, func(*nflog.Packet) { packets++ })
		total.Lost += count.Lost
		total.Overruns += count.Overruns
		total.Malformed += count.Malformed
		total.Unsized += count.Unsized
		if errors.Is(err, io.EOF) {
			return packets, total
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOverrunThatNothingFollows overruns the buffer and sends no more packets. The Reader
// must report the overrun once, within about a second, even if it would wait forever. If a
// packet follows later, its number tells how many packets were lost.
func TestOverrunThatNothingFollows(t *testing.T) {
	againWhereOnePassed(t, func() (onePassed bool) {
		ns, r, sent := overrun(t)
		var total nflog.Count
		read := func(deadline time.Time) {
			count, err := r.Read(deadline, func(*nflog.Packet) {})
			if err != nil {
				t.Fatal(err)
			}
			total.Packets += count.Packets
			total.Lost += count.Lost
			total.Overruns += count.Overruns
			total.Unsized += count.Unsized
		}
		for total.Unsized == 0 {
			if uint64(total.Packets)+total.Lost == sent {
				return true
			}
			read(time.Time{})
		}
		read(time.Now().Add(1500 * time.Millisecond))
		if total.Lost != 0 {
			return true
		}
		if total.Unsized != 1 || total.Overruns != 1 || uint64(total.Packets) >= sent {
			t.Errorf("%+v of %d packets, want one overrun of unknown size", total, sent)
		}
		if err := ns.Send(datagrams(64), 1); err != nil {
			t.Fatal(err)
		}
		for before := total.Packets; total.Packets == before; {
			read(time.Time{})
		}
		if uint64(total.Packets)+total.Lost != sent+1 || total.Unsized != 1 {
			t.Errorf("%+v after one more, want %d packets in all", total, sent+1)
		}
		return false
	})
}

// TestOverrunAtTheEnd stops the Reader after an overrun. The Reader must report it before
// it ends.
func TestOverrunAtTheEnd(t *testing.T) {
	againWhereOnePassed(t, func() (onePassed bool) {
		_, r, _ := overrun(t)
		r.Stop()
		_, total := drain(t, r)
		if total.Lost != 0 {
			return true
		}
		if total.Overruns != 1 || total.Unsized != 1 {
			t.Errorf("%+v, want one overrun of unknown size", total)
		}
		return false
	})
}

// overrun sends more packets than the buffer of a Reader holds.
func overrun(t *testing.T) (ns *netlab.Namespace, r *nflog.Reader, sent uint64) {
	t.Helper()
	ns = newNamespace(t)
	rules(t, ns, logInput)
	r = open(t, ns, nflog.Config{Group: 1, ReceiveBuffer: 64 << 10})
	sent = 20_000
	if err := ns.Send(datagrams(64), int(sent)); err != nil {
		t.Fatal(err)
	}
	return ns, r, sent
}

// againWhereOnePassed repeats a test of losses that nothing follows. On a busy machine the
// kernel processes some of the packets only after Send has returned, so that one of the
// last may find room in the buffer again, and tells how many were lost before it.
func againWhereOnePassed(t *testing.T, test func() (onePassed bool)) {
	t.Helper()
	for range 20 {
		if !test() {
			return
		}
	}
	t.Fatal("each time a packet came after the loss")
}

// TestForgedMessage lets another process with CAP_NET_ADMIN send a packet message to the
// Reader's socket. The kernel must refuse it, and the Reader must see nothing.
func TestForgedMessage(t *testing.T) {
	ns := newNamespace(t)
	rules(t, ns, logInput)
	r := open(t, ns, nflog.Config{Group: 1})
	err := ns.Do(func() error {
		_, err := nflog.Open(nflog.Config{Group: 1}, slog.New(slog.DiscardHandler))
		var taken *nflog.OpenError
		if !errors.As(err, &taken) {
			return fmt.Errorf("no owner of the group: %w", err)
		}
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		forged := []byte{20, 0, 0, 0, 0, unix.NFNL_SUBSYS_ULOG, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, unix.AF_INET, 0, 0, 1}
		return unix.Sendto(fd, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: taken.Owner})
	})
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("sending a message to the Reader: %v, want it refused", err)
	}
	if err := ns.Send(datagrams(64), 1); err != nil {
		t.Fatal(err)
	}
	if got, total := readAll(t, r); len(got) != 1 || total.Malformed != 0 || got[0].Prefix != "in" {
		t.Errorf("the Reader has %+v, %+v; want the kernel's packet alone", got, total)
	}
}

// TestAwaitGroup opens a group that another process owns. The Reader must report why the
// group is not bound, with the same error while this lasts, and bind the group when it is
// free.
func TestAwaitGroup(t *testing.T) {
	ns := newNamespace(t)
	rules(t, ns, logInput)
	other := open(t, ns, nflog.Config{Group: 1})
	r := open(t, ns, nflog.Config{Group: 1, AwaitGroup: true})
	read := func() (count nflog.Count) {
		err := ns.Do(func() (err error) {
			count, err = r.Read(time.Time{}, func(*nflog.Packet) {})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return count
	}
	why := r.Err()
	if !errors.Is(why, nflog.ErrGroupTaken) || r.Bound() {
		t.Errorf("Err = %v, bound %v", why, r.Bound())
	}
	for range 2 {
		if count := read(); count != (nflog.Count{}) || r.Err() != why { //nolint:errorlint // the same error
			t.Errorf("while the group is taken: %+v, %v", count, r.Err())
		}
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	for !r.Bound() {
		if count := read(); count.Reopened {
			t.Error("a group that was never bound counts as bound anew")
		}
	}
	if err := ns.Send(datagrams(64), 3); err != nil {
		t.Fatal(err)
	}
	if got, total := readAll(t, r); len(got) != 3 || total.Lost != 0 || r.Err() != nil {
		t.Errorf("%d packets, %+v, %v", len(got), total, r.Err())
	}
}

// TestStopDrains stops a Reader right after packets were logged, long before the kernel
// would deliver a datagram that is not full. No packet may be missing.
func TestStopDrains(t *testing.T) {
	ns := newNamespace(t)
	rules(t, ns, logInput)
	r := open(t, ns, nflog.Config{Group: 1, FlushTimeout: 20 * time.Second})
	const sent = 1234
	if err := ns.Send(datagrams(64), sent); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	packets, total := drain(t, r)
	if packets != sent || total != (nflog.Count{}) {
		t.Errorf("%d packets, want %d; %+v", packets, sent, total)
	}
}

// TestStopWakesAReadThatWaits stops a Reader whose Read has a far deadline.
func TestStopWakesAReadThatWaits(t *testing.T) {
	ns := newNamespace(t)
	r := open(t, ns, nflog.Config{Group: 1})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		drain(t, r)
	}()
	awaitCall(t, "nflog.(*Reader).receive")
	r.Stop()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("Read still waits after Stop")
	}
}

// TestLonePacket checks that a single packet comes within the flush timeout, and that a
// Read with an earlier deadline returns at its deadline.
func TestLonePacket(t *testing.T) {
	ns := newNamespace(t)
	rules(t, ns, logInput)
	r := open(t, ns, nflog.Config{Group: 1})
	if count, err := r.Read(time.Now().Add(time.Millisecond), nil); err != nil || count != (nflog.Count{}) {
		t.Fatalf("Read at its deadline = %+v, %v", count, err)
	}
	if err := ns.Send(datagrams(64), 1); err != nil {
		t.Fatal(err)
	}
	if got, _ := readAll(t, r); len(got) != 1 || got[0].Prefix != "in" {
		t.Errorf("got %+v", got)
	}
}

// TestGroupTaken expects an error that names the group and its owner.
func TestGroupTaken(t *testing.T) {
	ns := newNamespace(t)
	open(t, ns, nflog.Config{Group: 7})
	err := ns.Do(func() error {
		r, err := nflog.Open(nflog.Config{Group: 7}, nil)
		if err == nil {
			return r.Close()
		}
		return err
	})
	var taken *nflog.OpenError
	if !errors.As(err, &taken) || !errors.Is(err, nflog.ErrGroupTaken) || taken.Group != 7 || taken.Owner == 0 {
		t.Errorf("Open of a group that is taken: %v", err)
	}
}

// TestReadDoesNotAllocate reads full datagrams from the real kernel.
func TestReadDoesNotAllocate(t *testing.T) {
	ns := newNamespace(t)
	rules(t, ns, logInput)
	r := open(t, ns, nflog.Config{Group: 1})
	packets := 0
	handle := func(*nflog.Packet) { packets++ }
	var allocated uint64
	for range 20 {
		if err := ns.Send(datagrams(64), 600); err != nil {
			t.Fatal(err)
		}
		allocated += mallocs(func() {
			if _, err := r.Read(time.Now().Add(10*time.Second), handle); err != nil {
				t.Error(err)
			}
		})
	}
	if packets < 20*400 || float64(allocated) > 0.01*float64(packets) {
		t.Errorf("%d allocations for %d packets", allocated, packets)
	}
}

func mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}
