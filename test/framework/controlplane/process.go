package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopGrace is the time that a process has to end after SIGTERM.
const stopGrace = 10 * time.Second

// process is a running child. It has its own process group, so that Ctrl-C in the terminal
// reaches only the parent. The parent then stops the child.
type process struct {
	name    string
	logPath string
	pid     int
	done    chan struct{}    // closed when the process has ended
	state   *os.ProcessState // how it ended; valid after done
}

// startProcess runs path with args, and appends its output to the file logPath.
func startProcess(name, path string, args []string, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	// It lives until stop or kill.
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{name: name, logPath: logPath, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer func() { _ = log.Close() }() // the child has its own descriptor
		// The kernel sends Pdeathsig when the thread that forked ends. So this goroutine
		// keeps that thread until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("start %s: %w", name, err)
			return
		}
		p.pid = cmd.Process.Pid
		started <- nil
		// The error of Wait is ignored: the state has the exit status.
		_ = cmd.Wait()
		p.state = cmd.ProcessState
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop sends SIGTERM, and kills the process after stopGrace. It returns when the process
// has ended. It is no error if the process had ended already.
func (p *process) stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopGrace):
	}
	return p.kill()
}

// kill ends the process at once and returns when it has ended.
func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

func (p *process) signal(s syscall.Signal) error {
	err := syscall.Kill(-p.pid, s)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("send %v to %s: %w", s, p.name, err)
	}
	return nil
}

// ended returns an error with the end of the log if the process is not running any more.
func (p *process) ended() error {
	tail, err := tailOf(p.logPath, 2000)
	if err != nil {
		tail = err.Error()
	}
	return fmt.Errorf("%s ended (%v); end of %s:\n%s", p.name, p.state, p.logPath, tail)
}

func tailOf(path string, size int) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	return string(b[max(0, len(b)-size):]), nil
}
