package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

const (
	// batch is how many packets one system call sends at most.
	batch = 64
	// tick is the interval at which a paced generator sends the packets that are due.
	tick = time.Millisecond
	// sourceOffset is where the source address is in an IPv4 header.
	sourceOffset = 12
)

// message is struct mmsghdr, which x/sys/unix lacks.
type message struct {
	header unix.Msghdr
	sent   uint32
	_      [4]byte
}

// generator sends UDP packets through a raw socket, from one thread on one CPU.
type generator struct {
	fd       int
	cpu      int
	cpus     unix.CPUSet // the CPUs that this process may use
	packets  [batch][]byte
	vectors  [batch]unix.Iovec
	messages [batch]message
	source   netip.Addr
	sent     int // packets sent so far, in all scenarios
}

// newGenerator opens the socket in the namespace and makes the packets. The
// sources of many flows are source and the addresses that follow it.
func newGenerator(ns *netlab.Namespace, p netlab.Packet) (*generator, error) {
	g := &generator{source: p.Source}
	if err := unix.SchedGetaffinity(0, &g.cpus); err != nil {
		return nil, fmt.Errorf("generator: read the CPUs: %w", err)
	}
	for cpu := range len(g.cpus) * 64 {
		if g.cpus.IsSet(cpu) {
			g.cpu = cpu
		}
	}
	for i := range g.packets {
		packet, err := p.Bytes(1) // 1, because the kernel replaces an IP identification of 0
		if err != nil {
			return nil, fmt.Errorf("generator: %w", err)
		}
		// No UDP checksum, which IPv4 allows. Otherwise it would change with the source.
		clear(packet[26:28])
		g.packets[i] = packet
		g.vectors[i] = unix.Iovec{Base: &packet[0], Len: uint64(len(packet))}
		g.messages[i].header = unix.Msghdr{Iov: &g.vectors[i], Iovlen: 1}
	}
	return g, g.connect(ns, p.Destination)
}

func (g *generator) connect(ns *netlab.Namespace, to netip.Addr) error {
	err := ns.Do(func() (err error) {
		if g.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		return unix.Connect(g.fd, &unix.SockaddrInet4{Addr: to.As4()})
	})
	if err != nil {
		return fmt.Errorf("generator: open a raw socket: %w", err)
	}
	return nil
}

// otherCPUs returns the CPUs that the generator does not use. If there is only one CPU,
// it returns that one.
func (g *generator) otherCPUs() *unix.CPUSet {
	others := g.cpus
	if others.Count() > 1 {
		others.Clear(g.cpu)
	}
	return &others
}

// send sends the traffic and returns how long that took.
func (g *generator) send(t traffic) (took time.Duration, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var own unix.CPUSet
	own.Set(g.cpu)
	if err := unix.SchedSetaffinity(0, &own); err != nil {
		return 0, fmt.Errorf("generator: bind to CPU %d: %w", g.cpu, err)
	}
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &g.cpus)) }()

	order, start := t.order(), time.Now()
	for sent := 0; sent < t.Packets; {
		due := t.Packets
		if t.Rate > 0 {
			due = min(t.Packets, 1+int(time.Since(start).Seconds()*float64(t.Rate)))
		}
		for sent < due {
			n, err := g.sendBatch(min(batch, due-sent), order)
			if err != nil {
				return 0, fmt.Errorf("generator: after %d packets: %w", sent, err)
			}
			sent += n
		}
		if t.Rate > 0 && sent < t.Packets {
			pause(tick)
		}
	}
	return time.Since(start), nil
}

// pause sleeps on this thread, without the timers of the Go scheduler.
func pause(d time.Duration) {
	left := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&left, nil) // if it is woken early, the next pause is longer
}

// sendBatch sends up to n packets and returns how many were taken.
func (g *generator) sendBatch(n int, order func(sent int) int) (int, error) {
	for i := range n {
		g.number(g.packets[i], order(g.sent+i)) // also for one flow, because the last scenario may have had many
	}
	taken, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(g.fd), uintptr(unsafe.Pointer(&g.messages[0])), uintptr(n), 0, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("sendmmsg: %w", errno)
	}
	g.sent += int(taken)
	return int(taken), nil
}

// number gives the packet the source address of one flow.
func (g *generator) number(packet []byte, flow int) {
	first := g.source.As4()
	binary.BigEndian.PutUint32(packet[sourceOffset:], binary.BigEndian.Uint32(first[:])+uint32(flow))
}
