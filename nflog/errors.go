package nflog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrGroupTaken says that another process owns the group. The kernel gives a group to
// one process.
var ErrGroupTaken = errors.New("another process owns the group")

// The other known reasons why a group could not be bound.
var (
	errPermission  = errors.New("permission denied") // CAP_NET_ADMIN is missing
	errUnsupported = errors.New("the kernel has no NFLOG support")
)

// OpenError says why a group could not be bound, and what to do about it.
type OpenError struct {
	Group uint16
	// Owner is the netlink port id of the socket that owns the group, if Reason is
	// ErrGroupTaken. It is not a process id: a process in another PID namespace or with
	// several sockets has an unrelated port id.
	Owner uint32
	// Reason is ErrGroupTaken, another error of this package, or nil if the reason is
	// not known.
	Reason error
	// Err is the kernel's answer.
	Err error
}

// Error names the group, the reason and the remedy.
func (e *OpenError) Error() string {
	switch {
	case errors.Is(e.Reason, ErrGroupTaken):
		return fmt.Sprintf("NFLOG group %d is taken: another process reads it, and a group has one reader; "+
			"stop that process, or log to another group and read that one", e.Group)
	case errors.Is(e.Reason, errPermission):
		return fmt.Sprintf("NFLOG group %d: permission denied: run as root or with CAP_NET_ADMIN in this network namespace", e.Group)
	case errors.Is(e.Reason, errUnsupported):
		return fmt.Sprintf("NFLOG group %d: this kernel has no NFLOG support: load the module nfnetlink_log "+
			"(modprobe nfnetlink_log), or run a kernel with CONFIG_NETFILTER_NETLINK_LOG", e.Group)
	}
	return fmt.Sprintf("NFLOG group %d: %v", e.Group, e.Err)
}

// Unwrap gives the reason and the kernel's answer to errors.Is and errors.As.
func (e *OpenError) Unwrap() []error { return []error{e.Reason, e.Err} }

// openError finds out why the kernel refused a bind. The kernel answers EPERM if the
// group is taken, and also if the process lacks the capability. The table of groups
// tells the two apart.
func openError(group uint16, err error) error {
	e := &OpenError{Group: group, Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		if owner, ok := groupOwner(group); ok {
			e.Reason, e.Owner = ErrGroupTaken, owner
		} else {
			e.Reason = errPermission
		}
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EAFNOSUPPORT):
		e.Reason = errUnsupported
	}
	return e
}

// groupTable lists the bound groups of this thread's network namespace. Only root may
// read it.
const groupTable = "/proc/thread-self/net/netfilter/nfnetlink_log"

// groupOwner returns the port id of the socket that owns the group.
func groupOwner(group uint16) (portID uint32, ok bool) {
	f, err := os.Open(groupTable)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }() // nothing was written
	return findOwner(f, group)
}

// findOwner searches the kernel's table. Each line is a group: its number, port id,
// queue length, copy mode, copy range, flush timeout and references.
func findOwner(table io.Reader, group uint16) (portID uint32, ok bool) {
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		var g uint16
		var id uint32
		if _, err := fmt.Sscan(lines.Text(), &g, &id); err == nil && g == group {
			return id, true
		}
	}
	return 0, false
}
