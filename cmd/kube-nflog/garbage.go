//go:build linux

package main

import (
	"context"
	"runtime"
	"runtime/debug"
	accounts "runtime/metrics"
)

// collections has Go collect garbage when there is some. Left to itself it also
// does every two minutes, which is nearly all that an agent at rest would cost.
//
// That clock stops only where there is no percentage (GOGC), and then only a
// memory limit has garbage collected. So while hardly anything is allocated, a
// limit stands in for the percentage. It lets the heap grow as far, less what the
// runtime takes for other things meanwhile, and the collection that comes then
// puts the percentage back. That stays, and the clock with it, until a cycle, of
// two minutes at most, has again made less than a quarter of what the percentage
// allows: at that rate the limit is reached later than two minutes on.
//
// It looks at nothing but Go's own accounts, once for each collection: packets
// allocate nothing, and pay nothing for it.
type collections struct {
	read func() heap
	pace func(pace)

	allocated int64 // up to the last collection
	own       *pace // the operator's, or that which spare set, while the limit stands in for it
}

// pace is when Go collects: when the heap has grown by so many percent, never by
// that if negative, or when the process takes so many bytes.
type pace struct {
	percent, limit int64
}

// heap is Go's accounts, in bytes.
type heap struct {
	pace      pace
	allocated int64 // since the process began
	live      int64 // what the last collection left
	goal      int64 // the next one comes before the heap has this size
	taken     int64 // of the system
	objects   int64 // of that, live or garbage
	free      int64 // of that, for objects to come
}

// watch decides anew after each collection, until ctx ends. It is called when a
// collection has just been.
func (c *collections) watch(ctx context.Context) {
	h := c.read()
	c.allocated = h.allocated
	c.decide(h, 0)
	c.await(ctx)
}

// await has the next collection call back: it finds an object that nothing
// refers to. One that is under way may not find it; then the one after does.
func (c *collections) await(ctx context.Context) {
	unreachable := &struct{ *collections }{c}
	runtime.AddCleanup(unreachable, func(c *collections) {
		if ctx.Err() == nil {
			c.collected()
			c.await(ctx)
		}
	}, c)
}

func (c *collections) collected() {
	h := c.read()
	made := h.allocated - c.allocated
	c.allocated = h.allocated
	if c.own != nil {
		c.pace(*c.own)
		c.own = nil
		return
	}
	c.decide(h, made)
}

// decide puts a limit in the place of the percentage if a cycle allocated next
// to nothing.
func (c *collections) decide(h heap, made int64) {
	room := h.goal - h.live
	if h.pace.percent < 0 || room <= 0 || made >= room/4 {
		return
	}
	if limit := h.limitFor(h.goal); limit < h.pace.limit {
		c.own = &h.pace
		c.pace(pace{percent: -1, limit: limit})
	}
}

// limitFor is the limit that has the heap collected before it has a size: the
// runtime reckons what it takes besides as it is, and keeps 3 % of the rest, at
// least 1 MiB, in reserve.
func (h *heap) limitFor(size int64) int64 {
	return h.taken - h.objects - h.free + size + max(size*3/97, 1<<20)
}

// readHeap stops nobody.
func readHeap() heap {
	var h heap
	var released int64
	values := []*int64{
		&h.pace.percent, &h.pace.limit, &h.allocated, &h.live, &h.goal, &h.taken, &released, &h.objects, &h.free,
	}
	samples := []accounts.Sample{
		{Name: "/gc/gogc:percent"}, {Name: "/gc/gomemlimit:bytes"},
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/goal:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	accounts.Read(samples)
	for i, s := range samples {
		*values[i] = int64(s.Value.Uint64()) // the percentage may be -1, which comes wrapped
	}
	h.taken -= released
	return h
}

func setPace(p pace) {
	debug.SetMemoryLimit(p.limit)
	debug.SetGCPercent(int(p.percent))
}
