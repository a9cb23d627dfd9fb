package flow

import (
	"context"
	"fmt"
	"time"
)

// earlyRoom is how many flows are exported early at a time. The rest waits for its turn
// or the window's end.
const earlyRoom = chunkSize

// Deadline returns when Export has something to do next, or the zero time if that takes
// another drop first.
func (t *Table) Deadline() time.Time {
	if !t.earlyAt.IsZero() && t.earlyAt.Before(t.windowAt) {
		return t.earlyAt
	}
	return t.windowAt
}

// Export sends what is due at now: the whole window at its end, or its early flows. The
// goroutine that adds drops calls it after every read.
func (t *Table) Export(now time.Time) {
	t.fold()
	if t.current.n == 0 {
		return
	}
	if t.windowAt.IsZero() {
		t.windowAt = now.Add(t.cfg.Window)
	}
	if t.fair.any() && t.earlyAt.IsZero() {
		t.earlyAt = now.Add(t.cfg.EarlyAfter)
	}
	switch {
	case !now.Before(t.windowAt) && t.exportWindow(now):
	case t.fair.any() && !now.Before(t.earlyAt):
		t.exportEarly(now)
	}
}

// exportWindow sends the current window if the consumer has released the last one, and
// reports whether it has. If not, the window grows longer.
func (t *Table) exportWindow(now time.Time) bool {
	select {
	case next := <-t.spare:
		t.swap(next, now)
		return true
	default:
		t.windowAt = now.Add(t.cfg.EarlyAfter)
		return false
	}
}

// swap sends the current window and begins the next one.
func (t *Table) swap(next *slab[entry], now time.Time) {
	next.reset()
	done := t.current
	t.windows <- Window{entries: done, prefixes: t.prefixes, release: func() { t.spare <- done }}
	t.current, t.last = next, nil
	t.cache.endWindow(now)
	t.fair.reset()
	t.windowAt, t.earlyAt, t.reserved, t.haveLocal = time.Time{}, time.Time{}, 0, false
}

// exportEarly sends early flows, as many as there is room for, if the consumer has
// released the last ones.
func (t *Table) exportEarly(now time.Time) {
	select {
	case room := <-t.early:
		t.takeEarly(room)
		t.windows <- Window{entries: room, prefixes: t.prefixes, release: func() { t.early <- room }}
	default:
	}
	t.earlyAt = time.Time{}
	if t.fair.any() {
		t.earlyAt = now.Add(t.cfg.EarlyAfter)
	}
}

// takeEarly moves early flows out of the window, one flow of each pod in turn.
func (t *Table) takeEarly(room *slab[entry]) {
	room.reset()
	for room.n < earlyRoom && t.fair.any() {
		e := t.fair.pop(t.current)
		*room.append() = *e
		e.clear()
	}
}

// Close sends the last window as soon as the consumer has released the one before, and
// closes Windows. If ctx ends first, its error says how many packets are lost.
func (t *Table) Close(ctx context.Context) error {
	defer close(t.windows)
	t.fold()
	if t.current.n == 0 {
		return nil
	}
	select {
	case next := <-t.spare: // even if ctx has ended too
		t.swap(next, time.Now())
		return nil
	default:
	}
	select {
	case next := <-t.spare:
		t.swap(next, time.Now())
		return nil
	case <-ctx.Done():
		var packets uint64
		for f := range (Window{entries: t.current, prefixes: t.prefixes}).Flows() {
			packets += f.Packets
		}
		return fmt.Errorf("export the last window: %d packets are left: %w", packets, ctx.Err())
	}
}
