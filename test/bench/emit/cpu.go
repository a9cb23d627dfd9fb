package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU time in /proc. It is the same on every Linux architecture
// that Go supports.
const clockTick = time.Second / 100

// cpuTimes is CPU time used so far, by program: this one and its children.
type cpuTimes map[string]time.Duration

// takeCPU reads /proc. It leaves out a process that ends meanwhile.
func takeCPU() (cpuTimes, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	used := cpuTimes{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if name, d, ok := parseStat(b, os.Getpid()); ok {
			used[name] += d
		}
	}
	return used, nil
}

// parseStat reads a line of /proc/PID/stat, for self and children of self:
// "PID (name) state parent … utime stime …", see proc(5).
func parseStat(b []byte, self int) (name string, used time.Duration, ok bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return "", 0, false
	}
	fields := strings.Fields(string(b[end+1:]))
	if len(fields) < 13 {
		return "", 0, false
	}
	if fields[1] != strconv.Itoa(self) && strings.TrimSpace(string(b[:open])) != strconv.Itoa(self) {
		return "", 0, false
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return string(b[open+1 : end]), time.Duration(user+system) * clockTick, err1 == nil && err2 == nil
}

// since returns how many CPUs each program kept busy, as "kube-apiserver 1.2, …".
func (c cpuTimes) since(before cpuTimes, took time.Duration) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		all = append(all, fmt.Sprintf("%s %.2f", name, (c[name]-before[name]).Seconds()/took.Seconds()))
	}
	return strings.Join(all, ", ")
}
