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

// Links knows the names of this network namespace's interfaces by index, and
// hears from the kernel when they come, go and change their names.
type Links struct {
	conn   *netlink.Conn
	closed atomic.Bool

	mu    sync.RWMutex // guards what follows: Run writes, Name reads
	names map[uint32]string
	gone  []uint32 // deleted ones whose names are still in names, oldest first
}

// keepGone is how many deleted interfaces are remembered: the drops of a pod
// that was just deleted are still on their way.
const keepGone = 1024

// OpenLinks reads the interfaces' names.
func OpenLinks() (*Links, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_LINK})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	l := &Links{conn: c, names: make(map[uint32]string)}
	if err := l.list(); err != nil {
		_ = c.Close() // the first error is the one that matters
		return nil, err
	}
	return l, nil
}

// Name returns the interface's name, "" for index 0, and "if" with its index
// for one that was never heard of.
func (l *Links) Name(index uint32) string {
	if index == 0 {
		return ""
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if name, ok := l.names[index]; ok {
		return name
	}
	return "if" + strconv.FormatUint(uint64(index), 10)
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
	// A deadline first: Close alone does not end a Receive under way.
	return errors.Join(l.conn.SetReadDeadline(time.Unix(1, 0)), l.conn.Close())
}

// list asks for all interfaces. Changes that the kernel tells meanwhile come
// with the answer.
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
		if len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		index := binary.NativeEndian.Uint32(m.Data[4:]) // struct ifinfomsg
		switch m.Header.Type {
		case unix.RTM_NEWLINK:
			l.set(index, linkName(m.Data[unix.SizeofIfInfomsg:]))
		case unix.RTM_DELLINK:
			l.forgetLater(index)
		}
	}
}

func (l *Links) set(index uint32, name string) {
	if name == "" {
		return
	}
	l.names[index] = name
	// An interface that comes back from another namespace may keep its index.
	l.gone = slices.DeleteFunc(l.gone, func(g uint32) bool { return g == index })
}

func (l *Links) forgetLater(index uint32) {
	l.gone = append(l.gone, index)
	if len(l.gone) > keepGone {
		delete(l.names, l.gone[0])
		l.gone = l.gone[1:]
	}
}

// linkName finds IFLA_IFNAME, which is "" in messages of bridge ports and the
// like that have none.
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
