//go:build linux

package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/fastpath"
	"github.com/kube-nflog/kube-nflog/internal/groups"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// newReceiver returns a receiver without a reader.
func newReceiver(group uint16, decoding decode.Config, folding flow.Config, links *nflog.Links, m *metrics, log *slog.Logger) *receiver {
	table := flow.NewTable(folding)
	return &receiver{
		group: group, table: table, counts: m.group(group), log: log.With("group", group),
		folder: fastpath.New(fastpath.Config{Group: group, Decode: decoding, Table: table, Links: links}),
	}
}

// bind binds the receiver's group. With await, a group that another process reads is
// bound later, when it is free.
func (r *receiver) bind(await bool, log *slog.Logger) error {
	opened, err := nflog.Open(nflog.Config{Group: r.group, AwaitGroup: await, OnIdle: r.progress.setIdle}, log)
	if err != nil {
		return fmt.Errorf("receive packets: %w", err)
	}
	r.reader = opened
	if err := r.unbound(time.Now()); err != nil {
		r.log.Warn("no packets are received until the group is free", "error", err)
	}
	return nil
}

// unbound returns the reason why the receiver's group is not bound, nil while it is.
func (r *receiver) unbound(now time.Time) error {
	err := r.reader.Err()
	if err == nil {
		return nil
	}
	if !errors.Is(err, nflog.ErrGroupTaken) {
		return fmt.Errorf("group %d is not bound: %w", r.group, err)
	}
	owner := r.owner.get(now, func() string {
		if _, owner := Taken(err); owner != nil {
			return owner.String()
		}
		return "another process" // it has just ended
	})
	return fmt.Errorf("group %d is not bound: it is read by %s, and a group has one reader; "+
		"it is bound as soon as that process gives it up, or let the rules log to another group as well and read that one (--group)", r.group, owner)
}

// Taken returns the group that could not be bound because a process owns it, and
// that process. owner is nil for every other error.
func Taken(err error) (group uint16, owner *groups.Owner) {
	var open *nflog.OpenError
	if !errors.As(err, &open) || !errors.Is(open.Reason, nflog.ErrGroupTaken) {
		return 0, nil
	}
	owner, _ = groups.Find(open.Group) // without an owner, err says what went wrong
	return open.Group, owner
}

// ownerLifetime is how long an ownerCache keeps an owner. Finding it means to look
// through all processes, and probes ask every few seconds.
const ownerLifetime = 10 * time.Second

// ownerCache keeps the name of the process that reads a group.
type ownerCache struct {
	mu    sync.Mutex
	text  string
	until time.Time
}

func (o *ownerCache) get(now time.Time, find func() string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !now.Before(o.until) {
		o.text, o.until = find(), now.Add(ownerLifetime)
	}
	return o.text
}
