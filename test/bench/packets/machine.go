package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine describes where the figures were measured.
type machine struct {
	CPUs       int     `json:"cpus"`
	Model      string  `json:"model"`
	Kernel     string  `json:"kernel"`
	Go         string  `json:"go"`
	Ulogd      string  `json:"ulogd,omitempty"`
	Generator  int     `json:"generatorCPU"`
	Pinned     bool    `json:"readersPinned"` // to the other CPUs
	LoadBefore float64 `json:"loadBefore"`    // average of the last minute
	LoadAfter  float64 `json:"loadAfter"`
}

func (m machine) String() string {
	where := "any CPU"
	if m.Pinned {
		where = "the other CPUs"
	}
	return fmt.Sprintf("%d CPUs, %s, Linux %s, %s %s\ngenerator on CPU %d, readers on %s; load average %.2f before, %.2f after",
		m.CPUs, m.Model, m.Kernel, m.Go, m.Ulogd, m.Generator, where, m.LoadBefore, m.LoadAfter)
}

func describe(ctx context.Context, b *bench) (machine, error) {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), Generator: b.lab.generator.cpu, Pinned: b.readerCPUs != nil}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return m, fmt.Errorf("read the kernel's version: %w", err)
	}
	m.Kernel = unix.ByteSliceToString(uname.Release[:])
	m.Model = cpuModel()
	// If ulogd is not installed, there is no version.
	out, _ := exec.CommandContext(ctx, "ulogd", "--version").Output()
	m.Ulogd, _, _ = strings.Cut(string(out), "\n")
	var err error
	m.LoadBefore, err = load()
	return m, err
}

// cpuModel returns the name of the first CPU, "" if the kernel gives none.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// load returns the load average of the last minute.
func load() (average float64, err error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(text), &average)
	}
	if err != nil {
		return 0, fmt.Errorf("read the load average: %w", err)
	}
	return average, nil
}
