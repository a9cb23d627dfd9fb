//go:build linux

package agent

import (
	"context"
	"runtime/debug"
)

// settle gives back the memory that starting took and running does not need,
// once the first lists are in.
func (a *Agent) settle(ctx context.Context) {
	if a.resolver.WaitSynced(ctx) != nil || a.explainer.WaitSynced(ctx) != nil {
		return // it ends before it has started
	}
	debug.FreeOSMemory()
}
