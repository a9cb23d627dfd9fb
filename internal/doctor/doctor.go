// Package doctor looks for what keeps drops from being reported: on the host,
// in its firewall's rules, in the rights at the API server, and in a running
// agent. In goes what to look at; out come findings, each with its remedy. It
// changes nothing, waits for nothing longer than Timeout, and may be called
// concurrently.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
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
	Groups  []uint16 // that the agent reads; empty for those of the agent that runs here
	Cluster *Cluster // how the API server is reached; nil where there is none
	Agents  []string // the addresses where an agent may listen
}

// defaultGroup is examined where no group is given and no agent runs.
const defaultGroup = 100

// Findings are in the order of a packet's way.
type Findings []Finding

// Examine makes all checks.
func Examine(ctx context.Context, cfg Config) Findings {
	if len(cfg.Groups) == 0 {
		cfg.Groups = agentGroups(ctx, cfg.Agents)
	}
	if len(cfg.Groups) == 0 {
		cfg.Groups = []uint16{defaultGroup}
	}
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
	var all Findings
	for _, f := range found {
		all = append(all, f...)
	}
	return all
}

// HaveProblem reports whether one of the findings is a Problem.
func (f Findings) HaveProblem() bool {
	return slices.ContainsFunc(f, func(one Finding) bool { return one.Status == Problem })
}

// Print writes the findings, as JSON or as lines for a person.
func (f Findings) Print(w io.Writer, asJSON bool) error {
	var b strings.Builder
	if asJSON {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(f); err != nil {
			return fmt.Errorf("print findings: %w", err)
		}
	} else {
		for _, one := range f {
			fmt.Fprintf(&b, "%-8s %-16s %s\n", one.Status, one.Check, one.Says)
			if one.Remedy != "" {
				fmt.Fprintf(&b, "%-25s → %s\n", "", one.Remedy)
			}
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
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
