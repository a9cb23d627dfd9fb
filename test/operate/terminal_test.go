package operate

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

const columns, rows = 130, 12

// terminal is a "kube-nflog watch" in a pseudo-terminal, or on a pipe.
type terminal struct {
	cmd    *exec.Cmd
	done   chan struct{}
	vt     vt10x.Terminal // only with a pseudo-terminal
	master *os.File       // the other side of the pseudo-terminal

	mu     sync.Mutex
	output bytes.Buffer // everything that it printed
	errors bytes.Buffer // only with a pipe
}

// watch starts "kube-nflog watch" in the node's namespace, on a terminal with columns and
// rows. It ends with the test.
func (s *scene) watch(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	system.Must(t, pty.Setsize(slave, &pty.Winsize{Cols: columns, Rows: rows}))
	w := newTerminal(env, args)
	w.vt, w.master = vt10x.New(vt10x.WithSize(columns, rows)), master
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // makes Ctrl-C a key of this terminal
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = slave, slave, slave
	if err := s.node.Start(w.cmd); err != nil {
		t.Fatal(err)
	}
	system.Must(t, slave.Close())
	go func() { // ends with an error when the process has closed the terminal
		defer close(w.done)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			w.mu.Lock()
			w.output.Write(b[:n])
			_, _ = w.vt.Write(b[:n]) // never fails
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		w.stop(t)
		system.Must(t, master.Close())
	})
	return w
}

// watchPiped is like watch, with pipes instead of a terminal.
func (s *scene) watchPiped(t *testing.T, args ...string) *terminal {
	t.Helper()
	w := newTerminal(nil, args)
	w.cmd.Stdout, w.cmd.Stderr = locked{w, &w.output}, locked{w, &w.errors}
	if err := s.node.Start(w.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		_ = w.cmd.Wait() // its status is in ProcessState
	}()
	t.Cleanup(func() { w.stop(t) })
	return w
}

func newTerminal(env, args []string) *terminal {
	w := &terminal{done: make(chan struct{})}
	w.cmd = exec.CommandContext(context.Background(), agentBinary, append([]string{"watch"}, args...)...)
	w.cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "TZ=UTC"}, env...)
	return w
}

type locked struct {
	w   *terminal
	out *bytes.Buffer
}

func (l locked) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.out.Write(b)
}

// resize changes the size of the terminal's window.
func (w *terminal) resize(t *testing.T, columns, rows int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.vt.Resize(columns, rows)
	system.Must(t, pty.Setsize(w.master, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}))
}

// stop ends the process, on a terminal with Ctrl-C.
func (w *terminal) stop(t *testing.T) {
	t.Helper()
	select {
	case <-w.done:
		return
	default:
	}
	if w.vt != nil {
		_, err := w.master.WriteString("\x03")
		system.Must(t, err)
	} else {
		system.Must(t, w.cmd.Process.Signal(syscall.SIGINT))
	}
	<-w.done
	if w.vt != nil {
		system.Must(t, w.cmd.Wait())
	}
}

// screen returns the text on the terminal, without the parts that differ from run to run.
func (w *terminal) screen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for line := range strings.Lines(w.vt.String()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	text := strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
	return regexp.MustCompile(`\d\d:\d\d:\d\d`).ReplaceAllString(text, "HH:MM:SS")
}

func (w *terminal) printed() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.String()
}

func (w *terminal) complained() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.errors.String()
}
