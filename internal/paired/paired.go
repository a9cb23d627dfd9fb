//go:build linux

// Package paired compares two ways to do the same work in one benchmark. Only tests use
// it.
//
// Package testing measures one way after the other, by the wall clock. On a machine that
// does other work too, the difference is then mostly noise. This package runs both ways in
// turn, some hundred times, reads the CPU time of their thread, and compares the medians.
package paired

import (
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Compare runs both ways once in each iteration of the benchmark. Each call does its work
// for the given number of packets. Compare reports the median costs of a packet, and what
// the first way saves, in nanoseconds of CPU time.
func Compare(b *testing.B, packets int, with, without func()) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var costs [2][]float64
	for b.Loop() {
		for i, work := range []func(){with, without} {
			start := threadTime(b)
			work()
			costs[i] = append(costs[i], float64(threadTime(b)-start)/float64(packets))
		}
	}
	first, second := median(costs[0]), median(costs[1])
	b.ReportMetric(0, "ns/op") // hidden: it is both ways together, with the clock's cost
	b.ReportMetric(first, "with-ns/packet")
	b.ReportMetric(second, "without-ns/packet")
	b.ReportMetric(second-first, "saved-ns/packet")
}

func median(costs []float64) float64 {
	slices.Sort(costs)
	return costs[len(costs)/2]
}

// threadTime returns the CPU time of this thread in nanoseconds.
func threadTime(b *testing.B) int64 {
	b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}
