package nflog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Why a group could not be bound; [OpenError] wraps one of these where the
// reason is known.
var (
	// ErrGroupTaken says that another process owns the group: the kernel lets
	// each group have one.
	ErrGroupTaken = errors.New("another process owns the group")
	// ErrPermission says that CAP_NET_ADMIN is missing.
	ErrPermission = errors.New("permission denied")
	// ErrUnsupported says that the running kernel has no NFLOG.
	ErrUnsupported = errors.New("the kernel has no NFLOG support")
)

// OpenError says why a group could not be bound, and what to do about it.
type OpenError struct {
	Group uint16
	// Owner is the netlink port id of the socket that owns the group, with
	// ErrGroupTaken. It is no process id: a process in another PID namespace, or
	// with several sockets, has a port id that says nothing of it.
	Owner uint32
	// Reason is one of this package's errors, or nil where it is not known.
	Reason error
	// Err is what the kernel answered.
	Err error
}

// Error names the group, the reason and the remedy.
func (e *OpenError) Error() string {
	switch {
	case errors.Is(e.Reason, ErrGroupTaken):
		return fmt.Sprintf("NFLOG group %d is taken: another process reads it, and a group has one reader; "+
			"stop that process, or log to another group and read that one", e.Group)
	case errors.Is(e.Reason, ErrPermission):
		return fmt.Sprintf("NFLOG group %d: permission denied: run as root or with CAP_NET_ADMIN in this network namespace", e.Group)
	case errors.Is(e.Reason, ErrUnsupported):
		return fmt.Sprintf("NFLOG group %d: this kernel has no NFLOG support: load the module nfnetlink_log "+
			"(modprobe nfnetlink_log), or run a kernel with CONFIG_NETFILTER_NETLINK_LOG", e.Group)
	}
	return fmt.Sprintf("NFLOG group %d: %v", e.Group, e.Err)
}

// Unwrap gives the reason and the kernel's answer to errors.Is and errors.As.
func (e *OpenError) Unwrap() []error { return []error{e.Reason, e.Err} }

// openError finds out why the kernel refused a bind. To a group that is taken
// it answers EPERM, as it does to a process without the capability, so the
// table of groups decides.
func openError(group uint16, err error) error {
	e := &OpenError{Group: group, Err: err}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		if owner, ok := groupOwner(group); ok {
			e.Reason, e.Owner = ErrGroupTaken, owner
		} else {
			e.Reason = ErrPermission
		}
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EAFNOSUPPORT):
		e.Reason = ErrUnsupported
	}
	return e
}

// groupTable lists the bound groups of this thread's network namespace. It is
// readable by root alone.
const groupTable = "/proc/thread-self/net/netfilter/nfnetlink_log"

// groupOwner returns the port id of the socket that owns the group.
func groupOwner(group uint16) (portID uint32, ok bool) {
	f, err := os.Open(groupTable)
	if err != nil {
		return 0, false
	}
	defer func() { _ = f.Close() }() // only read
	return findOwner(f, group)
}

// findOwner reads the kernel's table: group, port id, queue length, copy mode,
// copy range, flush timeout, references; one group a line.
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
