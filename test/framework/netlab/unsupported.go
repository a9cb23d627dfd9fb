package netlab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// UnsupportedError reports that this machine does not allow what a lab needs.
type UnsupportedError struct {
	Operation string // what was refused
	Remedy    string // what to change
	Err       error
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s: %v; %s", e.Operation, e.Err, e.Remedy)
}

func (e *UnsupportedError) Unwrap() error { return e.Err }

// unsupported returns an *UnsupportedError if err is a refusal, else err.
func unsupported(operation string, err error) error {
	for _, refusal := range []error{syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.ENOSYS, syscall.EINVAL, syscall.EROFS, syscall.EOPNOTSUPP} {
		if errors.Is(err, refusal) {
			return &UnsupportedError{Operation: operation, Remedy: remedy(refusal), Err: err}
		}
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// limit is a kernel setting and the value that forbids namespaces.
type limit struct{ path, forbids, remedy string }

func limits() []limit {
	return []limit{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"},
		{"/proc/sys/user/max_net_namespaces", "0", "sysctl -w user.max_net_namespaces=10000"},
		{"/proc/sys/user/max_pid_namespaces", "0", "sysctl -w user.max_pid_namespaces=10000"},
		{"/proc/sys/user/max_mnt_namespaces", "0", "sysctl -w user.max_mnt_namespaces=10000"},
	}
}

// remedy says what to change, as far as the kernel's settings show it.
func remedy(refusal error) string {
	var found []string
	for _, l := range limits() {
		// A setting that does not exist forbids nothing.
		if b, err := os.ReadFile(l.path); err == nil && strings.TrimSpace(string(b)) == l.forbids {
			found = append(found, fmt.Sprintf("%s is %s: as root, %s", l.path, l.forbids, l.remedy))
		}
	}
	switch {
	case len(found) > 0:
		return strings.Join(found, "; ")
	case errors.Is(refusal, syscall.ENOSPC):
		return "the limit of namespaces in /proc/sys/user is reached: raise it, or end what holds them"
	case errors.Is(refusal, syscall.ENOSYS), errors.Is(refusal, syscall.EINVAL):
		return "this kernel has no network, mount, process or user namespaces (CONFIG_NET_NS, CONFIG_PID_NS, CONFIG_USER_NS)"
	}
	return "run as root with CAP_SYS_ADMIN and CAP_NET_ADMIN (in a container: --privileged), or where \"unshare -Urnmp --fork --mount-proc true\" works"
}
