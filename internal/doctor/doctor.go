// Package doctor looks for what keeps drops from being reported: on the host,
// in its firewall's rules, in the rights at the API server, and in a running
// agent. In goes what to look at; out come findings, each with its remedy. It
// changes nothing, waits for nothing longer than Timeout, and may be called
// concurrently.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Timeout bounds each answer that is waited for.
const Timeout = 1500 * time.Millisecond

// Status says how bad a finding is.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Note    Status = "note"    // worth knowing; drops are reported
	Problem Status = "problem" // drops are not reported, or not all
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"` // its name, which does not change
	Status Status `json:"status"`
	Says   string `json:"says"`
	Remedy string `json:"remedy,omitempty"`
}

// Config says what to look at.
type Config struct {
	Groups []uint16 // that the agent reads; at least one
	// Cluster is how the API server is reached; nil where there is none.
	Cluster *Cluster
	// Agents are where an agent may listen.
	Agents []string
}

// Cluster is an API server and the credentials for it.
type Cluster struct {
	URL    string
	Client *http.Client // that authenticates
	// ServiceAccount tells that it does so as a pod. A person may have rights that
	// the agent has not.
	ServiceAccount bool
}

// Examine makes all checks. The findings are in the order of a packet's way.
func Examine(ctx context.Context, cfg Config) []Finding {
	parts := []func(context.Context, *Config) []Finding{kernel, firewallRules, settings, apiServer, agent}
	found := make([][]Finding, len(parts))
	var running sync.WaitGroup
	for i, part := range parts {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, Timeout)
			defer cancel()
			found[i] = part(ctx, &cfg)
		})
	}
	running.Wait()
	var all []Finding
	for _, f := range found {
		all = append(all, f...)
	}
	return all
}

func ok(check, format string, args ...any) Finding {
	return Finding{Check: check, Status: OK, Says: fmt.Sprintf(format, args...)}
}

func note(check, remedy, format string, args ...any) Finding {
	return Finding{Check: check, Status: Note, Says: fmt.Sprintf(format, args...), Remedy: remedy}
}

func problem(check, remedy, format string, args ...any) Finding {
	return Finding{Check: check, Status: Problem, Says: fmt.Sprintf(format, args...), Remedy: remedy}
}
