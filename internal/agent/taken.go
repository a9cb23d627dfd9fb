//go:build linux

package agent

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kube-nflog/kube-nflog/internal/groups"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// Taken returns the group that could not be bound because a process owns it, and
// that process; owner is nil for every other error.
func Taken(err error) (group uint16, owner *groups.Owner) {
	var open *nflog.OpenError
	if !errors.As(err, &open) || !errors.Is(open.Reason, nflog.ErrGroupTaken) {
		return 0, nil
	}
	owner, _ = groups.Find(open.Group) // err is what went wrong
	return open.Group, owner
}

// ownerText is the process that reads a group, as it was found last.
type ownerText struct {
	mu    sync.Mutex
	text  string
	until time.Time
}

// ownerFor is how long an owner is believed: to find one is to look through all
// processes.
const ownerFor = 10 * time.Second

func (o *ownerText) get(now time.Time, find func() string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !now.Before(o.until) {
		o.text, o.until = find(), now.Add(ownerFor)
	}
	return o.text
}

// unbound returns why the receiver's group is not bound, nil while it is.
func (r *receiver) unbound(now time.Time) error {
	err := r.reader.Err()
	if err == nil {
		return nil
	}
	if !errors.Is(err, nflog.ErrGroupTaken) {
		return fmt.Errorf("group %d is not bound: %w", r.group, err)
	}
	owner := r.reads.get(now, func() string {
		if _, owner := Taken(err); owner != nil {
			return owner.String()
		}
		return "another process" // which has just ended
	})
	return fmt.Errorf("group %d is not bound: it is read by %s, and a group has one reader; "+
		"it is bound as soon as that process gives it up, or let the rules log to another group as well and read that one (--group)", r.group, owner)
}
