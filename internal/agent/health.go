//go:build linux

package agent

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// progress tells a goroutine that works from one that is stuck. The zero progress is
// idle. It may be called concurrently.
type progress struct{ last atomic.Int64 }

// mark notes that a step begins.
func (p *progress) mark(now time.Time) { p.last.Store(now.UnixNano()) }

// idle notes that nothing is under way.
func (p *progress) idle() { p.last.Store(0) }

// setIdle calls idle when a wait begins, and mark when it ends.
func (p *progress) setIdle(idle bool) {
	if idle {
		p.idle()
	} else {
		p.mark(time.Now())
	}
}

// isStuck reports whether one step has taken longer than maxStep.
func (p *progress) isStuck(now time.Time) bool {
	last := p.last.Load()
	return last != 0 && now.UnixNano()-last > int64(maxStep)
}

// maxStep is how long a stage may work on one step. Then it counts as stuck.
const maxStep = time.Minute

// healthy returns an error if a goroutine of the pipeline is stuck.
func (a *Agent) healthy() error {
	if a.opening.Load() {
		return nil
	}
	now := a.now()
	for i, r := range a.receivers {
		if r.progress.isStuck(now) {
			return fmt.Errorf("the reader of group %d is stuck", r.group)
		}
		if a.deliverers[i].progress.isStuck(now) {
			return fmt.Errorf("the flows of group %d are not consumed (is standard output read?)", r.group)
		}
	}
	if a.emitter.BusyFor(now) > maxStep {
		return errors.New("writing events is stuck")
	}
	return nil
}

// ready returns an error until the groups are bound and pods are known, and while rights
// to write events are missing.
func (a *Agent) ready() error {
	if a.opening.Load() {
		return errors.New("starting: NFLOG groups and API clients are not open yet")
	}
	for _, r := range a.receivers {
		if err := r.unbound(a.now()); err != nil {
			return err
		}
	}
	if !a.resolver.Synced() {
		return errors.New("pods are not known yet")
	}
	if !a.explainer.Synced() {
		return errors.New("NetworkPolicies are not known yet")
	}
	return a.emitter.Refused()
}
