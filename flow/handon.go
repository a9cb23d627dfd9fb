package flow

import (
	"context"
	"fmt"
	"time"
)

// earlyRoom is how many flows are handed on early at a time; the rest waits
// for its turn or the window's end.
const earlyRoom = chunkSize

// Deadline returns when HandOn has something to do next, the zero time if that
// takes another drop first.
func (t *Table) Deadline() time.Time {
	if !t.earlyAt.IsZero() && t.earlyAt.Before(t.windowAt) {
		return t.earlyAt
	}
	return t.windowAt
}

// HandOn sends what is due at now: the whole window at its end, or what is
// early in it. The reader calls it after every read.
func (t *Table) HandOn(now time.Time) {
	t.fold()
	if t.current.n == 0 {
		return
	}
	if t.windowAt.IsZero() {
		t.windowAt = now.Add(t.cfg.Window)
	}
	if t.owners.any() && t.earlyAt.IsZero() {
		t.earlyAt = now.Add(t.cfg.EarlyAfter)
	}
	switch {
	case !now.Before(t.windowAt) && t.sendWindow(now):
	case t.owners.any() && !now.Before(t.earlyAt):
		t.sendEarly(now)
	}
}

// sendWindow sends the current window if the consumer is done with the last
// one; if not, folding goes on, the window grows longer, and it returns false.
func (t *Table) sendWindow(now time.Time) bool {
	select {
	case next := <-t.spare:
		t.swap(next, now)
		return true
	default:
		t.windowAt = now.Add(t.cfg.EarlyAfter)
		return false
	}
}

func (t *Table) swap(next *list[entry], now time.Time) {
	next.reset()
	done := t.current
	t.windows <- Window{entries: done, prefixes: t.prefixes, release: func() { t.spare <- done }}
	t.current, t.last = next, nil
	t.memory.end(now)
	t.owners.reset()
	t.windowAt, t.earlyAt, t.reserved, t.haveLocal = time.Time{}, time.Time{}, 0, false
}

// sendEarly sends flows that are not known, as many as there is room for, if
// the consumer is done with the last such.
func (t *Table) sendEarly(now time.Time) {
	select {
	case room := <-t.early:
		t.takeEarly(room)
		t.windows <- Window{entries: room, prefixes: t.prefixes, release: func() { t.early <- room }}
	default:
	}
	t.earlyAt = time.Time{}
	if t.owners.any() {
		t.earlyAt = now.Add(t.cfg.EarlyAfter)
	}
}

// takeEarly moves out what is early, one flow of each owner in turn.
func (t *Table) takeEarly(room *list[entry]) {
	room.reset()
	for room.n < earlyRoom && t.owners.any() {
		e := t.owners.pop(t.current)
		*room.append() = *e
		e.giveUp()
	}
}

// Close sends the last window, as soon as the consumer is done with the one
// before, and closes Windows. Its error says how many packets it could not
// hand on because ctx ended first.
func (t *Table) Close(ctx context.Context) error {
	defer close(t.windows)
	t.fold()
	if t.current.n == 0 {
		return nil
	}
	select {
	case next := <-t.spare: // also when ctx has ended as well
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
		return fmt.Errorf("hand on the last window: %d packets are left: %w", packets, ctx.Err())
	}
}
