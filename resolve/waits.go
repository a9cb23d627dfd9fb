package resolve

import (
	"container/heap"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// waits holds callbacks until their address is heard of or their time has
// come. They are called one at a time. Its methods may be called concurrently,
// run once.
type waits struct {
	limit int
	count func(result string)
	now   func() int64 // steady clock

	calling sync.Mutex // held while callbacks are called

	mu     sync.Mutex // guards what follows; never held while calling
	byAddr map[netip.Addr][]*waiting
	due    dueHeap
	ready  []func()
	closed bool
	signal chan struct{} // something is ready, or due earlier than before
}

type waiting struct {
	addr  netip.Addr
	until int64 // nanoseconds of the steady clock
	again func()
	index int // in the heap
}

func newWaits(limit int, now func() int64, count func(string)) *waits {
	return &waits{limit: limit, now: now, count: count,
		byAddr: map[netip.Addr][]*waiting{}, signal: make(chan struct{}, 1)}
}

// add holds again until addr is woken or until has come. It says false when
// there is no room, and after release.
func (w *waits) add(addr netip.Addr, until int64, again func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if len(w.due) >= w.limit {
		w.count("overflow")
		return false
	}
	item := &waiting{addr: addr, until: until, again: again}
	w.byAddr[addr] = append(w.byAddr[addr], item)
	heap.Push(&w.due, item)
	if item.index == 0 {
		w.poke()
	}
	return true
}

// wake makes ready what waits for addr.
func (w *waits) wake(addr netip.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	items, ok := w.byAddr[addr]
	if !ok {
		return
	}
	delete(w.byAddr, addr)
	for _, item := range items {
		heap.Remove(&w.due, item.index)
		w.ready = append(w.ready, item.again)
		w.count("woken")
	}
	w.poke()
}

// expire makes ready what is due at now, and returns when the next is; 0 for
// none.
func (w *waits) expire(now int64) (next int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.due) > 0 && w.due[0].until <= now {
		w.makeReady(w.due[0], "expired")
	}
	if len(w.due) == 0 {
		return 0
	}
	return w.due[0].until
}

// makeReady takes item off the table.
func (w *waits) makeReady(item *waiting, result string) {
	heap.Remove(&w.due, item.index)
	left := slices.DeleteFunc(w.byAddr[item.addr], func(other *waiting) bool { return other == item })
	if w.byAddr[item.addr] = left; len(left) == 0 {
		delete(w.byAddr, item.addr)
	}
	w.ready = append(w.ready, item.again)
	w.count(result)
}

// call calls what is ready.
func (w *waits) call() {
	w.calling.Lock()
	defer w.calling.Unlock()
	w.mu.Lock()
	ready := w.ready
	w.ready = nil
	w.mu.Unlock()
	for _, again := range ready {
		again()
	}
}

// release calls everything that waits. Nothing waits from then on.
func (w *waits) release() {
	w.mu.Lock()
	w.closed = true
	for len(w.due) > 0 {
		w.makeReady(w.due[0], "released")
	}
	w.mu.Unlock()
	w.call()
}

// run calls what becomes ready until ctx ends. What waits then is left for
// release.
func (w *waits) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := w.expire(w.now())
		w.call()
		pause := time.Hour
		if next != 0 {
			pause = max(time.Duration(next-w.now()), time.Millisecond)
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return
		case <-w.signal:
		case <-timer.C:
		}
	}
}

func (w *waits) poke() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// holds reports whether something waits for addr.
func (w *waits) holds(addr netip.Addr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.byAddr[addr]) > 0
}

// room reports whether add would hold more.
func (w *waits) room() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.closed && len(w.due) < w.limit
}

func (w *waits) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.due)
}

// dueHeap orders by until.
type dueHeap []*waiting

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is heap.Interface's.
func (h *dueHeap) Push(x any) {
	item, ok := x.(*waiting)
	if !ok {
		return
	}
	item.index = len(*h)
	*h = append(*h, item)
}

// Pop is heap.Interface's.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	item := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return item
}
