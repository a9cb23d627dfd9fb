package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// owner returns the netlink port id of the socket that has bound the group in
// the node's namespace, 0 if none has.
func (l *lab) owner() (port uint32, err error) {
	err = l.read("/proc/thread-self/net/netfilter/nfnetlink_log", func(table io.Reader) {
		port = groupOwner(table, group)
	})
	return port, err
}

// drops returns how many datagrams did not fit into the receive buffer of the socket
// with the port id. A datagram has up to hundreds of packets. The kernel's table may
// miss a socket while other sockets come and go.
func (l *lab) drops(ctx context.Context, port uint32) (datagrams uint64, err error) {
	err = await(ctx, fmt.Sprintf("the netlink socket with port id %d", port), func() (found bool, err error) {
		err = l.read("/proc/thread-self/net/netlink", func(table io.Reader) {
			datagrams, found = socketDrops(table, port)
		})
		return found, err
	})
	return datagrams, err
}

// read parses a file as the node's namespace sees it.
func (l *lab) read(path string, parse func(io.Reader)) error {
	return l.node.Do(func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		parse(f)
		return f.Close()
	})
}

// groupOwner reads the kernel's table of groups: group, port id, …
func groupOwner(table io.Reader, group uint16) uint32 {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		var g uint16
		var port uint32
		if _, err := fmt.Sscan(lines.Text(), &g, &port); err == nil && g == group {
			return port
		}
	}
	return 0
}

// netlinkNetfilter is the protocol number of netfilter's sockets.
const netlinkNetfilter = "12"

// socketDrops reads the kernel's table of netlink sockets: sk, Eth (the
// protocol), Pid (the port id), Groups, Rmem, Wmem, Dump, Locks, Drops, Inode.
func socketDrops(table io.Reader, port uint32) (drops uint64, ok bool) {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 9 || f[1] != netlinkNetfilter || f[2] != fmt.Sprint(port) {
			continue
		}
		_, err := fmt.Sscan(f[8], &drops)
		return drops, err == nil
	}
	return 0, false
}
