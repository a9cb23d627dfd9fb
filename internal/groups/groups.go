// Package groups reports whether the kernel has NFLOG, and who owns the NFLOG groups of
// this network namespace, from /proc. It may be called concurrently.
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

	"github.com/kube-nflog/kube-nflog/internal/printable"
)

// Owner is the process that owns a group.
type Owner struct {
	PortID  uint32 // the port id of its netlink socket
	PID     int    // 0 if /proc does not show it: it belongs to another user, or is outside of this container
	Command string // its name, "" if PID is 0
}

// String describes the process as far as it is known.
func (o Owner) String() string {
	if o.PID == 0 {
		// A port id is not a process id.
		return fmt.Sprintf("a process that is not seen from here (netlink port id %d), such as one outside this container", o.PortID)
	}
	return fmt.Sprintf("%s (process %d)", o.Command, o.PID)
}

const (
	table   = "/proc/thread-self/net/netfilter/nfnetlink_log"
	sockets = "/proc/thread-self/net/netlink"
)

// Find returns the group's owner, nil if there is none. An error means that the kernel's
// table could not be read. Only root may read it.
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

// process returns the process with the netfilter socket that has the port id.
func process(id uint32) Owner {
	o := Owner{PortID: id}
	inode := socket(id)
	if inode == "" {
		return o
	}
	// Processes that end meanwhile, or that may not be inspected, are not found.
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, d := range descriptors {
		if to, err := os.Readlink(d); err == nil && to == "socket:["+inode+"]" {
			pid := strings.Split(d, "/")[2]
			o.PID, _ = strconv.Atoi(pid) // the pattern matches only digits
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			o.Command = printable.Text(strings.TrimSpace(string(name)), '?')
			return o
		}
	}
	return o
}

// socket returns the inode of the netfilter socket with the port id, "" if there is none.
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

// read returns the words of each row of a table.
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
