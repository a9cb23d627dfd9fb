// Package groups tells whether the kernel has NFLOG, and who owns the groups of
// this network namespace, as /proc has it. It may be called concurrently.
package groups

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Owner is the process that owns a group.
type Owner struct {
	PortID  uint32 // of its netlink socket
	PID     int    // 0 where /proc does not show it: another user's, or outside of this container
	Command string // its name, "" likewise
}

// String names the process as far as it is known.
func (o Owner) String() string {
	if o.PID == 0 {
		// A port id is no process id, least of all of this container's processes.
		return fmt.Sprintf("a process that is not seen from here (netlink port id %d), such as one outside this container", o.PortID)
	}
	return fmt.Sprintf("%s (process %d)", o.Command, o.PID)
}

const (
	table   = "/proc/thread-self/net/netfilter/nfnetlink_log"
	sockets = "/proc/thread-self/net/netlink"
)

// Find returns the group's owner, nil for none. Its error says why the kernel's
// table could not be read: it is root's alone.
func Find(group uint16) (*Owner, error) {
	rows, err := read(table)
	if err != nil {
		return nil, fmt.Errorf("read who owns NFLOG groups: %w", err)
	}
	// Group, port id, queue length, copy mode, copy range, flush timeout, references.
	for _, row := range rows {
		if len(row) > 1 && row[0] == strconv.Itoa(int(group)) {
			id, err := strconv.ParseUint(row[1], 10, 32)
			if err != nil {
				return nil, fmt.Errorf("read who owns NFLOG group %d: %w", group, err)
			}
			owner := process(uint32(id))
			return &owner, nil
		}
	}
	return nil, nil
}

// process finds the one that holds the netfilter socket with the port id.
func process(id uint32) Owner {
	o := Owner{PortID: id}
	inode := socket(id)
	if inode == "" {
		return o
	}
	// What ends meanwhile, or may not be looked at, is not found.
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, d := range descriptors {
		if to, err := os.Readlink(d); err == nil && to == "socket:["+inode+"]" {
			pid := strings.Split(d, "/")[2]
			o.PID, _ = strconv.Atoi(pid) // the pattern has it made of digits
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			o.Command = printable(strings.TrimSpace(string(name)))
			return o
		}
	}
	return o
}

// socket returns the inode of the netfilter socket with the port id, "" for
// none.
func socket(id uint32) string {
	rows, err := read(sockets)
	if err != nil {
		return ""
	}
	// Address, protocol, port id, groups, memory …, inode.
	for _, row := range rows {
		if len(row) == 10 && row[1] == strconv.Itoa(unix.NETLINK_NETFILTER) && row[2] == strconv.FormatUint(uint64(id), 10) {
			return row[9]
		}
	}
	return ""
}

// read returns a table's words, by rows.
func read(path string) (rows [][]string, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		rows = append(rows, strings.Fields(lines.Text()))
	}
	return rows, lines.Err()
}

// printable takes out what a process may call itself to confuse a terminal.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, name)
}
