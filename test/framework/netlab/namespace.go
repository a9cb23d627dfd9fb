package netlab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is an anonymous network namespace. It has no name in the file system. It lives
// as long as its descriptor and the processes in it.
type Namespace struct {
	name string
	fd   int
}

// NewNamespace makes a namespace with loopback up. The name is for messages.
func NewNamespace(name string) (*Namespace, error) {
	n := &Namespace{name: name, fd: -1}
	err := away(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return unsupported("make a network namespace", err)
		}
		var err error
		if n.fd, err = openCurrent(); err != nil {
			return err
		}
		return loopbackUp()
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("namespace %s: %w", name, err), n.Close())
	}
	return n, nil
}

// Current returns the namespace of the calling thread. Outside of Do this is the lab's.
func Current() (*Namespace, error) {
	fd, err := openCurrent()
	if err != nil {
		return nil, err
	}
	return &Namespace{name: "lab", fd: fd}, nil
}

// Name returns the name that NewNamespace got.
func (n *Namespace) Name() string { return n.name }

// Do calls f on a thread that is in the namespace. Sockets that f opens and processes
// that f starts stay in the namespace. Goroutines that f starts do not.
func (n *Namespace) Do(f func() error) error {
	return away(func() error {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.name, err)
		}
		return f()
	})
}

// Start starts cmd in the namespace.
func (n *Namespace) Start(cmd *exec.Cmd) error { return n.Do(cmd.Start) }

// Command runs a command in the namespace and returns its output. An error contains the
// output too.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out []byte
	err := n.Do(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return string(out), fmt.Errorf("in namespace %s: %s: %w: %s", n.name, cmd, err, out)
	}
	return string(out), nil
}

// Close releases the namespace. The kernel removes it, with its devices and rules, when
// the last process in it has ended.
func (n *Namespace) Close() error {
	if n.fd < 0 {
		return nil
	}
	err := unix.Close(n.fd)
	n.fd = -1
	return err
}

// away binds the goroutine to a thread, calls f, and returns the thread to its old
// namespace. If that fails the thread stays bound, so that it ends with the goroutine and
// no other goroutine uses it.
func away(f func() error) (err error) {
	runtime.LockOSThread()
	home, err := openCurrent()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		back := unix.Setns(home, unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		}
		err = errors.Join(err, back, unix.Close(home))
	}()
	return f()
}

func openCurrent() (int, error) {
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the current network namespace: %w", err)
	}
	return fd, nil
}
