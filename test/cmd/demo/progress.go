package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// startedEnv passes the start time from the outer process to the inner one, so that both
// show the time since the same start.
const startedEnv = "KUBE_NFLOG_DEMO_STARTED"

// progress prints the steps, with the seconds since the start.
type progress struct {
	out     io.Writer
	started time.Time
}

func newProgress(out io.Writer) (*progress, error) {
	p := &progress{out: out, started: time.Now()}
	if s, ok := os.LookupEnv(startedEnv); ok {
		ms, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", startedEnv, err)
		}
		p.started = time.UnixMilli(ms)
		return p, nil
	}
	return p, os.Setenv(startedEnv, strconv.FormatInt(p.started.UnixMilli(), 10))
}

// say prints a line with the time.
func (p *progress) say(format string, args ...any) {
	p.print(fmt.Sprintf("[%6.1fs] %s\n", time.Since(p.started).Seconds(), fmt.Sprintf(format, args...)))
}

// print prints text without changes. If that fails, nobody can be told.
func (p *progress) print(text string) { _, _ = io.WriteString(p.out, text) }

// step prints the name of a step. The returned function prints how long it took.
func (p *progress) step(what string) (end func()) {
	p.say("%s", what)
	begun := time.Now()
	return func() {
		if took := time.Since(begun); took > time.Second {
			p.say("  done in %.1f s", took.Seconds())
		}
	}
}

// heading separates the output that a person would see on a screen.
func (p *progress) heading(what string) {
	p.print("\n── " + what + "\n\n")
}

// compiled returns a function that is called for each compiled package. Every ten seconds
// it prints how many there were.
func (p *progress) compiled() func(string) {
	packages, said := 0, time.Now()
	return func(string) {
		packages++
		if time.Since(said) >= 10*time.Second {
			said = time.Now()
			p.say("  %d packages compiled", packages)
		}
	}
}
