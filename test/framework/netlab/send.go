package netlab

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Send sends exactly count packets from the namespace, as p describes them. They are
// complete IP packets through a raw socket, so nothing is retransmitted. The source
// address need not belong to the namespace.
//
// The backlog of the receiving device holds net.core.netdev_max_backlog (1,000) packets.
// If one call sends more, packets may be lost.
func (n *Namespace) Send(p Packet, count int) error {
	return n.SendUntil(p, count, nil)
}

// SendUntil is like Send, but ends early when stop is closed, after a whole packet. It
// returns nil then too.
func (n *Namespace) SendUntil(p Packet, count int, stop <-chan struct{}) error {
	family, to := destination(p)
	fd, err := n.rawSocket(family)
	if err != nil {
		return err
	}
	err = sendAll(fd, to, p, count, stop)
	return errors.Join(err, unix.Close(fd))
}

func sendAll(fd int, to unix.Sockaddr, p Packet, count int, stop <-chan struct{}) error {
	for i := range count {
		select {
		case <-stop:
			return nil
		default:
		}
		packet, err := p.Bytes(i)
		if err != nil {
			return err
		}
		if err := unix.Sendto(fd, packet, 0, to); err != nil {
			return fmt.Errorf("send packet %d of %d to %s: %w", i+1, count, p.Destination, err)
		}
	}
	return nil
}

// rawSocket opens a socket that sends packets with the given header.
func (n *Namespace) rawSocket(family int) (int, error) {
	fd := -1
	err := n.Do(func() (err error) {
		fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return -1, unsupported("open a raw socket in "+n.name, err)
	}
	return fd, nil
}

func destination(p Packet) (family int, to unix.Sockaddr) {
	if p.Destination.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Addr: p.Destination.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Addr: p.Destination.As16()}
}
