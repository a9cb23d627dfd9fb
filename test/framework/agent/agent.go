package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// defaultListen is the agent's address. Every node has its own namespace, so agents of
// different nodes may use the same address.
const defaultListen = "127.0.0.1:9090"

// Config says how the agent runs. The command line is "run --output json --listen …",
// and the fields add to it.
type Config struct {
	Binary     string            // the path of kube-nflog
	Node       *netlab.Namespace // the network namespace it runs in
	NodeName   string
	Kubeconfig string // "" for none
	Groups     []uint16
	Listen     string   // default 127.0.0.1:9090
	Args       []string // further arguments
	Env        []string // in addition to PATH, in the form of os.Environ
	// Wrapper is put before the agent's command line, for example setpriv with its
	// options; nil for none.
	Wrapper []string
	// Bare runs only "run" and Args, so that Env decides everything else. There are no
	// Lines then. Listen must be the address at which the agent will listen.
	Bare bool
	// Stdout, if not nil, is the agent's standard output. There are no Lines then.
	Stdout *os.File
}

// Agent is a running kube-nflog.
type Agent struct {
	node   *netlab.Namespace
	listen string
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended and its output is read
	err    error         // Wait's error; valid after done

	mu      sync.Mutex
	lines   []Line
	raw     []string
	garbage []string // lines on standard output that are no JSON
	stderr  bytes.Buffer
	changed chan struct{} // closed and replaced when lines grow
}

// Start starts the agent. It runs until Stop, Kill or its own end.
func Start(cfg Config) (*Agent, error) {
	if cfg.Listen == "" {
		cfg.Listen = defaultListen
	}
	command := slices.Concat(cfg.Wrapper, []string{cfg.Binary, "run"}, cfg.flags(), cfg.Args)
	a := &Agent{
		node: cfg.Node, listen: cfg.Listen,
		// It lives until Stop or Kill.
		cmd:  exec.CommandContext(context.Background(), command[0], command[1:]...),
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	// The user's variables must not change the agent.
	a.cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, cfg.Env...)
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	a.cmd.Stderr = (*stderrWriter)(a)
	stdout, err := a.stdout(cfg.Stdout)
	if err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	if err := cfg.Node.Start(a.cmd); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	go a.collect(stdout)
	return a, nil
}

// flags returns the flags for the fields.
func (c *Config) flags() []string {
	if c.Bare {
		return nil
	}
	flags := []string{"--output", "json", "--listen", c.Listen, "--node-name", c.NodeName}
	if c.Kubeconfig != "" {
		flags = append(flags, "--kubeconfig", c.Kubeconfig)
	}
	for _, g := range c.Groups {
		flags = append(flags, "--group", fmt.Sprint(g))
	}
	return flags
}

// stdout sets the process's standard output and returns the reader of it, if there is one.
func (a *Agent) stdout(to *os.File) (io.Reader, error) {
	if to != nil {
		a.cmd.Stdout = to
		return strings.NewReader(""), nil
	}
	return a.cmd.StdoutPipe()
}

// collect reads the JSON lines to their end, then waits for the process.
func (a *Agent) collect(stdout io.Reader) {
	defer close(a.done)
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		a.add(scanner.Text())
	}
	a.err = errors.Join(scanner.Err(), a.cmd.Wait())
}

func (a *Agent) add(text string) {
	var line Line
	err := json.Unmarshal([]byte(text), &line)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.garbage = append(a.garbage, text)
	} else {
		a.lines = append(a.lines, line)
		a.raw = append(a.raw, text)
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// stderrWriter makes an Agent the writer of its process's standard error.
type stderrWriter Agent

func (w *stderrWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stderr.Write(b)
}

// Log returns what the agent has written to standard error.
func (a *Agent) Log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stderr.String()
}

// Lines returns the JSON lines so far, and an error if something else was on
// standard output.
func (a *Agent) Lines() ([]Line, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.garbage) > 0 {
		return nil, fmt.Errorf("on standard output, not JSON: %s", strings.Join(a.garbage, "\n"))
	}
	return slices.Clone(a.lines), nil
}

// RawLines returns the JSON lines as they were written.
func (a *Agent) RawLines() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.raw)
}

// Changed returns a channel that is closed when a further line comes.
func (a *Agent) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// Done is closed when the agent has ended.
func (a *Agent) Done() <-chan struct{} { return a.done }

// PID is the agent's process id.
func (a *Agent) PID() int { return a.cmd.Process.Pid }
