// Package doctor finds what keeps drops from being reported: on the host, in its firewall
// rules, in the rights at the API server, and in a running agent. Its input says what to
// check. Its output is findings, each with a remedy. It changes nothing, waits for no
// answer longer than Timeout, and may be called concurrently.
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

// Timeout bounds the wait for each answer.
const Timeout = 1500 * time.Millisecond

// Status is the severity of a finding.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Note    Status = "note"    // good to know; drops are reported
	Problem Status = "problem" // drops are not reported, or not all of them
)

// Finding is the result of one check.
type Finding struct {
	Check  string `json:"check"` // the name of the check, which does not change
	Status Status `json:"status"`
	Says   string `json:"says"`
	Remedy string `json:"remedy,omitempty"`
}

// Config says what to check.
type Config struct {
	Groups  []uint16 // groups that the agent reads; empty for those of the agent on this host
	Cluster *Cluster // nil if there is no cluster
	Agents  []string // addresses at which an agent may listen
}

// defaultGroup is checked if no group is given and no agent runs.
const defaultGroup = 100

// Findings are in the order of a packet's way.
type Findings []Finding

// Examine runs all checks.
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
