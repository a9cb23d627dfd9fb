package resolve

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	askWorkers = 4
	// maxQuestions bounds the questions that wait for the limiter. There are few, so
	// that an answer is still useful when it comes.
	maxQuestions = 64
	maxAnswers   = 4096
)

// lookupCache asks a slow source about addresses, at a bounded rate and for each address
// once at a time. It remembers the answers, which have the type V. Its methods may be
// called concurrently; run only once.
type lookupCache[V any] struct {
	// ask answers one question, and returns for how long the answer is valid. It must
	// end when ctx does.
	ask     func(ctx context.Context, addr netip.Addr) (V, time.Duration)
	timeout time.Duration
	limiter *rate.Limiter
	refused func()       // counts a question that found the queue full
	now     func() int64 // steady clock

	questions chan netip.Addr

	mu      sync.Mutex // guards what follows
	answers *memory[V]
	epoch   int                     // counts calls of forget
	asking  map[netip.Addr]struct{} // queued or under way
}

// answer is what a lookupCache knows about an address.
type answer[V any] struct {
	value V
	known bool  // value is an answer, be it an old one
	until int64 // how long it is good, by the steady clock
}

func (a *lookupCache[V]) init() {
	a.questions = make(chan netip.Addr, maxQuestions)
	a.answers = newMemory[V](maxAnswers)
	a.asking = map[netip.Addr]struct{}{}
}

// get returns what is known of addr.
func (a *lookupCache[V]) get(addr netip.Addr) answer[V] {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.answers.get(addr)
	return answer[V]{e.value, ok, e.until}
}

// want starts a look-up of addr, unless too many are under way. It reports whether one is
// under way.
func (a *lookupCache[V]) want(addr netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, already := a.asking[addr]; already {
		return true
	}
	select {
	case a.questions <- addr:
		a.asking[addr] = struct{}{}
		return true
	default:
		a.refused()
		return false
	}
}

// run asks until ctx ends.
func (a *lookupCache[V]) run(ctx context.Context) {
	var group sync.WaitGroup
	for range askWorkers {
		group.Go(func() { a.work(ctx) })
	}
	group.Wait()
}

func (a *lookupCache[V]) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case addr := <-a.questions:
			if a.limiter.Wait(ctx) != nil {
				return
			}
			a.answer(ctx, addr)
		}
	}
}

func (a *lookupCache[V]) answer(ctx context.Context, addr netip.Addr) {
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	a.mu.Lock()
	epoch := a.epoch
	a.mu.Unlock()
	value, good := a.ask(limited, addr)
	a.mu.Lock()
	delete(a.asking, addr)
	if a.epoch == epoch {
		a.answers.put(addr, value, a.now()+int64(good))
	}
	a.mu.Unlock()
}

// forget forgets all answers, also the coming answers to questions under way.
func (a *lookupCache[V]) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	a.answers = newMemory[V](maxAnswers)
}

// memory remembers a value for each address for some time, and at most limit values. Beyond
// that it drops the oldest. It is not for concurrent use.
type memory[V any] struct {
	limit   int
	entries map[netip.Addr]remembered[V]
	order   queue[netip.Addr] // the entries, oldest first
}

type remembered[V any] struct {
	value V
	until int64 // in nanoseconds of the steady clock
}

func newMemory[V any](limit int) *memory[V] {
	return &memory[V]{limit: limit, entries: map[netip.Addr]remembered[V]{}}
}

// get returns the value for addr, also after its time.
func (m *memory[V]) get(addr netip.Addr) (remembered[V], bool) {
	e, ok := m.entries[addr]
	return e, ok
}

func (m *memory[V]) put(addr netip.Addr, value V, until int64) {
	if _, known := m.entries[addr]; !known {
		if m.order.len() >= m.limit {
			delete(m.entries, m.order.first())
			m.order.pop()
		}
		m.order.push(addr)
	}
	m.entries[addr] = remembered[V]{value, until}
}

// queue is a first-in, first-out queue. It releases the memory of a past peak.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) first() T { return q.items[q.head] }

func (q *queue[T]) push(v T) { q.items = append(q.items, v) }

func (q *queue[T]) pop() {
	var zero T
	q.items[q.head] = zero
	q.head++
	if q.head > 64 && q.head > len(q.items)/2 {
		q.items = append([]T(nil), q.items[q.head:]...)
		q.head = 0
	}
}
