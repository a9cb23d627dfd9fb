package netlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideEnv tells the re-executed process that it is the inner one. Run removes it, so
// that a child that calls Run gets its own lab.
const insideEnv = "KUBE_NFLOG_LAB_INSIDE"

// Scratch is a directory in memory that only the lab sees. It disappears with the lab.
const Scratch = "/run"

// Run calls inside in new network, mount and process namespaces, and returns its exit
// status. Without root it creates a user namespace too.
//
// The namespaces need their own process, so Run executes this program again with the same
// arguments:
//
//   - The outer process calls prepare (not nil), which still has the machine's network.
//     Then it waits for the inner process and forwards signals to it.
//   - The inner process calls only inside.
//
// Code before Run runs in both processes. The error is an *UnsupportedError if the machine
// does not allow namespaces.
func Run(prepare func() error, inside func() int) (int, error) {
	if _, ok := os.LookupEnv(insideEnv); ok {
		if err := os.Unsetenv(insideEnv); err != nil {
			return 0, err
		}
		if err := enter(); err != nil {
			return 0, err
		}
		return inside(), nil
	}
	if err := prepare(); err != nil {
		return 0, err
	}
	return reexec()
}

// reexec runs this program again, as process 1 of its own namespaces.
func reexec() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("find this program: %w", err)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)

	// Pdeathsig is bound to the thread that forks.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, err := start(self, false)
	if errors.Is(err, syscall.EPERM) {
		cmd, err = start(self, true)
	}
	if err != nil {
		return 0, unsupported("make namespaces", err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case s := <-signals:
				// An error means that the process has ended. Wait reports that.
				_ = cmd.Process.Signal(s)
			case <-ended:
				return
			}
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("wait for the inner process: %w", err)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// start starts the inner process. Its own process group ensures that Ctrl-C reaches it
// only once, from the outer process. A user namespace, in which the user is root, gives
// the needed rights to other users.
func start(self string, userNamespace bool) (*exec.Cmd, error) {
	// It lives as long as this process, which forwards signals to it.
	cmd := exec.CommandContext(context.Background(), self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
	}
	if userNamespace {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return cmd, nil
}

// enter completes the namespaces from the inside: it mounts a /proc that shows them, and a
// private /run, where iptables locks a file. It sets loopback up.
func enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return unsupported("make mounts private", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return unsupported("mount /proc", err)
	}
	if err := unix.Mount("tmpfs", Scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return unsupported("mount "+Scratch, err)
	}
	if err := loopbackUp(); err != nil {
		return unsupported("set lo up", err)
	}
	return nil
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	return netlink.LinkSetUp(lo)
}
