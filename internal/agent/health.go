//go:build linux

package agent

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// pulse tells a goroutine that works from one that is stuck. The zero pulse
// has not begun and is well.
type pulse struct{ last atomic.Int64 }

func (p *pulse) beat(now time.Time) { p.last.Store(now.UnixNano()) }

// rest says that nothing is under way.
func (p *pulse) rest() { p.last.Store(0) }

// pauses rests while yes, and beats when it is over.
func (p *pulse) pauses(yes bool) {
	if yes {
		p.rest()
	} else {
		p.beat(time.Now())
	}
}

func (p *pulse) stuck(now time.Time, after time.Duration) bool {
	last := p.last.Load()
	return last != 0 && now.UnixNano()-last > int64(after)
}

// stuckAfter is how long a stage may take over one step before it is stuck.
const stuckAfter = time.Minute

// healthy fails when a goroutine on the packets' way, or one that writes
// events, is stuck.
func (a *Agent) healthy() error {
	if a.opening.Load() {
		return nil
	}
	now := a.now()
	for i, r := range a.receivers {
		if r.pulse.stuck(now, stuckAfter) {
			return fmt.Errorf("the reader of group %d is stuck", r.group)
		}
		if a.deliverers[i].pulse.stuck(now, stuckAfter) {
			return fmt.Errorf("the flows of group %d are not consumed (is standard output read?)", r.group)
		}
	}
	if a.emitter.BusyFor(now) > stuckAfter {
		return errors.New("writing events is stuck")
	}
	return nil
}

// ready fails until the groups are bound and pods are known, and while no event
// can be written for want of rights.
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
