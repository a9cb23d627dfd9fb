package nflog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Links knows the interfaces of this network namespace by index. The kernel tells it
// when they come, go and change. A nil *Links knows none.
type Links struct {
	conn   *netlink.Conn
	closed atomic.Bool

	mu    sync.RWMutex // guards the fields below: Run writes, Name and Packet.Network read
	links map[uint32]link
	gone  []uint32 // deleted interfaces that are still in links, oldest first
}

// link is one interface.
type link struct {
	name    string
	framing framing
}

// keepGone is how many deleted interfaces are remembered: the drops of a pod that was
// just deleted are still on their way.
const keepGone = 1024

// OpenLinks lists the interfaces.
func OpenLinks() (*Links, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_LINK})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	l := &Links{conn: c, links: make(map[uint32]link)}
	if err := l.list(); err != nil {
		_ = c.Close() // the first error is the one that matters
		return nil, err
	}
	return l, nil
}

// Name returns the interface's name. It is "" for index 0, and "if" with the index for
// an interface that is not known.
func (l *Links) Name(index uint32) string {
	if index == 0 {
		return ""
	}
	if known, ok := l.link(index); ok {
		return known.name
	}
	return "if" + strconv.FormatUint(uint64(index), 10)
}

// framing returns where the interface's packets begin.
func (l *Links) framing(index uint32) framing {
	known, _ := l.link(index)
	return known.framing
}

func (l *Links) link(index uint32) (known link, ok bool) {
	if l == nil {
		return link{}, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	known, ok = l.links[index]
	return known, ok
}

// Run follows changes until Close.
func (l *Links) Run() error {
	for {
		messages, err := l.conn.Receive()
		if l.closed.Load() {
			return nil
		}
		if errors.Is(err, unix.ENOBUFS) { // some changes were missed
			err = l.list()
		}
		if err != nil {
			return fmt.Errorf("follow interfaces: %w", err)
		}
		l.update(messages)
	}
}

// Close ends Run.
func (l *Links) Close() error {
	l.closed.Store(true)
	// The deadline comes first, because Close alone does not end a Receive.
	return errors.Join(l.conn.SetReadDeadline(time.Unix(1, 0)), l.conn.Close())
}

// list requests all interfaces. Changes that the kernel reports meanwhile come with the
// answer.
func (l *Links) list() error {
	_, err := l.conn.Send(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, unix.SizeofIfInfomsg),
	})
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	messages, err := l.conn.Receive()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	l.update(messages)
	return nil
}

func (l *Links) update(messages []netlink.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range messages {
		// struct ifinfomsg: family, padding, type, index, flags. With AF_BRIDGE the message
		// is about a bridge port: its end is not the end of the interface.
		if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] == unix.AF_BRIDGE {
			continue
		}
		deviceType, index := binary.NativeEndian.Uint16(m.Data[2:]), binary.NativeEndian.Uint32(m.Data[4:])
		switch m.Header.Type {
		case unix.RTM_NEWLINK:
			l.set(index, link{name: linkName(m.Data[unix.SizeofIfInfomsg:]), framing: framingOf(deviceType)})
		case unix.RTM_DELLINK:
			l.forgetLater(index)
		}
	}
}

// set sets an interface. A message without a name says nothing of it.
func (l *Links) set(index uint32, to link) {
	if to.name == "" {
		return
	}
	l.links[index] = to
	// An interface that comes back from another namespace may keep its index.
	l.gone = slices.DeleteFunc(l.gone, func(g uint32) bool { return g == index })
}

func (l *Links) forgetLater(index uint32) {
	l.gone = append(l.gone, index)
	if len(l.gone) > keepGone {
		delete(l.links, l.gone[0])
		l.gone = l.gone[1:]
	}
}

// linkName returns the attribute IFLA_IFNAME, or "" if there is none.
func linkName(attributes []byte) string {
	ad, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return ""
	}
	for ad.Next() {
		if ad.Type() == unix.IFLA_IFNAME {
			return ad.String()
		}
	}
	return ""
}
