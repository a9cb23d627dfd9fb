//go:build linux

package main

import (
	"context"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeHeap is a runtime whose collections a test makes.
type fakeHeap struct{ heap }

func (f *fakeHeap) read() heap    { return f.heap }
func (f *fakeHeap) set(p pace)    { f.pace = p }
func (f *fakeHeap) make(kB int64) { f.allocated += kB << 10 }

// TestCollections has cycles make garbage, in KiB, and wants the percentage and
// the limit that each collection leaves. The percentage gives room for 4 MiB
// above the 2 MiB that live.
func TestCollections(t *testing.T) {
	const limit = (10-3-1)<<20 + 6<<20 + 1<<20 // what is no heap, the heap's goal, the runtime's reserve
	heapOf := func(percent, limit int64) heap {
		return heap{
			pace: pace{percent, limit}, allocated: 50 << 20, live: 2 << 20, goal: 6 << 20,
			taken: 10 << 20, objects: 3 << 20, free: 1 << 20,
		}
	}
	on, off := pace{50, math.MaxInt64}, pace{-1, limit}
	tests := []struct {
		name  string
		start heap
		made  []int64
		want  []pace // one more: at the start
	}{
		{"at rest from the start", heapOf(50, math.MaxInt64), nil, []pace{off}},
		{"there was garbage after all", heapOf(50, math.MaxInt64), []int64{2000}, []pace{off, on}},
		{"and a cycle later no more", heapOf(50, math.MaxInt64), []int64{2000, 1000}, []pace{off, on, off}},
		{"or still", heapOf(50, math.MaxInt64), []int64{2000, 1024, 4000, 1023}, []pace{off, on, on, on, off}},
		{"somebody else collects", heapOf(50, math.MaxInt64), []int64{0, 0, 0}, []pace{off, on, off, on}},
		{"the operator's percentage and limit", heapOf(80, limit+1), []int64{2000}, []pace{off, {80, limit + 1}}},
		{"a limit that is near", heapOf(50, limit), []int64{0, 0}, []pace{{50, limit}, {50, limit}, {50, limit}}},
		{"GOGC=off", heapOf(-1, math.MaxInt64), []int64{0, 0}, []pace{{-1, math.MaxInt64}, {-1, math.MaxInt64}, {-1, math.MaxInt64}}},
		{"no room", heap{pace: on, live: 6 << 20, goal: 6 << 20}, []int64{0}, []pace{on, on}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake := &fakeHeap{tt.start}
			c := &collections{read: fake.read, pace: fake.set}
			ended, cancel := context.WithCancel(t.Context())
			cancel() // the real runtime's collections are none of its business
			c.watch(ended)
			got := []pace{fake.pace}
			for _, kB := range tt.made {
				fake.make(kB)
				c.collected()
				got = append(got, fake.pace)
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(pace{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestCollectionsOfTheRuntime makes garbage for the real runtime while the limit
// stands in for the percentage: a collection comes at about what the percentage
// would have allowed, and puts it back.
func TestCollectionsOfTheRuntime(t *testing.T) {
	runtime.GC()
	before := readHeap()
	t.Cleanup(func() { setPace(before.pace) })
	set := make(chan pace, 8)
	c := &collections{read: readHeap, pace: func(p pace) { setPace(p); set <- p }}
	c.watch(t.Context())
	if off := readHeap().pace; off.percent != -1 || off.limit == before.pace.limit {
		t.Fatalf("at rest the runtime has %+v", off)
	}
	<-set

	room, cycles := before.goal-before.live, collected()
	var made int64
	for ; collected() == cycles && made <= 2*room; made += int64(len(garbage)) {
		garbage = make([]byte, 64<<10)
	}
	if made < room/4 || made > 2*room {
		t.Errorf("a collection after %d KiB of garbage, want about %d", made>>10, room>>10)
	}
	if diff := cmp.Diff(before.pace, awaitPace(t, set, runtime.Gosched), cmp.AllowUnexported(pace{})); diff != "" {
		t.Errorf("after the collection: -want +got:\n%s", diff)
	}
	if off := awaitPace(t, set, runtime.GC); off.percent != -1 {
		t.Errorf("a cycle later without garbage it has %+v", off)
	}
}

var garbage []byte // so that it is allocated

func collected() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// awaitPace does something again and again until a pace is set.
func awaitPace(t *testing.T, set <-chan pace, do func()) pace {
	t.Helper()
	late := time.After(time.Minute)
	for {
		select {
		case p := <-set:
			return p
		case <-late:
			t.Fatal("no pace was set")
		default:
			do()
		}
	}
}
