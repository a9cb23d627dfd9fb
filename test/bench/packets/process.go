package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// process is a running reader.
type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer // valid after done
	stderr bytes.Buffer // valid after done
	done   chan struct{}
	err    error // Wait's; valid after done
}

// start starts a command in the namespace, on the CPUs if they are given.
func start(ns *netlab.Namespace, cpus *unix.CPUSet, command []string) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// The user's own settings of the agent must not leak in.
	p.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	err := ns.Do(func() error { return onCPUs(cpus, p.cmd.Start) })
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// onCPUs calls f on a thread that is bound to the CPUs. Processes that f starts inherit
// this.
func onCPUs(cpus *unix.CPUSet, f func() error) (err error) {
	if cpus == nil {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the CPUs: %w", err)
	}
	if err := unix.SchedSetaffinity(0, cpus); err != nil {
		return fmt.Errorf("choose the CPUs: %w", err)
	}
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &before)) }()
	return f()
}

// cpu returns the CPU time of the process so far, including threads that have ended. The
// kernel counts it exactly, not in ticks.
func (p *process) cpu() (time.Duration, error) {
	// From include/linux/posix-timers_types.h: the process id, inverted, above
	// three bits that say which clock of it.
	const scheduled = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|scheduled), &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", p.cmd.Process.Pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// peak returns the most memory that has been resident, in KiB.
func (p *process) peak() (kib uint64, err error) { return p.field("status", "VmHWM:") }

// written returns how many bytes the process has written to files.
func (p *process) written() (total uint64, err error) { return p.field("io", "wchar:") }

// field reads a number from one of the process's files in /proc.
func (p *process) field(file, name string) (value uint64, err error) {
	path := fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok {
			_, err := fmt.Sscan(rest, &value)
			return value, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// ended returns an error if the process has ended by itself.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended (%s)\n%s%s", p.cmd, p.cmd.ProcessState, p.stdout.Bytes(), p.stderr.Bytes())
	default:
		return nil
	}
}

// stop ends the process, if it has not ended yet, and returns its whole CPU time, as the
// kernel reports it to the parent.
func (p *process) stop() (time.Duration, error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, fmt.Errorf("end %s: %w", p.cmd.Path, err)
	}
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		return 0, errors.Join(fmt.Errorf("%s does not end", p.cmd.Path), p.kill())
	}
	if p.err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", p.cmd, p.err, p.stderr.Bytes())
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), nil
}

// kill ends the process at once; one that has ended is no error.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.cmd.Path, err)
	}
	<-p.done
	return nil
}
