//go:build linux

package main

import (
	"context"
	"os"
	"runtime/debug"
)

// spare has the process take less memory from the start. The heap grows by half
// of what is live, and of the globals, before the next collection, instead of by
// all of it: on an idle agent that is 4 MiB less. Garbage comes with flows and
// changes of pods, not with packets, so that collecting twice as often costs
// little. GOGC in the environment comes first.
func spare() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// settle gives back the memory that starting took and running does not need,
// once the first lists are in.
func (a *agent) settle(ctx context.Context) {
	if a.resolver.WaitSynced(ctx) != nil || a.explainer.WaitSynced(ctx) != nil {
		return // it ends before it has started
	}
	debug.FreeOSMemory()
}
