// Package firewall reads the rules of this network namespace. It reads nftables (and
// iptables-nft) over netlink, and iptables-legacy with its own tool. It reports which rules
// log to an NFLOG group, and which drop packets that no rule has logged. It changes nothing
// and may be called concurrently.
package firewall

import (
	"slices"
	"strconv"

	"github.com/kube-nflog/kube-nflog/internal/rules"
)

// Chain is a chain of rules, in order.
type Chain struct {
	Tool   string // the tool that writes it: "nft", or "iptables" or "ip6tables" with "-nft" or "-legacy"
	Table  string // "inet filter" for nft, "filter" for the others
	Name   string
	Policy string // "drop" if the chain drops packets that reach its end
	Rules  []Rule
}

// Rule is one rule.
type Rule struct {
	Number  int    // its place in the chain, from 1
	Handle  uint64 // of nftables
	Comment string // "" for none
	// Conditions are the rule's matches. Equal conditions of one tool have the same text.
	Conditions []string
	// Match is the same in the syntax of the tool. It is "" if a condition cannot be
	// expressed.
	Match string
	InMap bool   // an element of the rule's verdict map, see expand
	Drops bool   // drops or rejects packets
	Jump  string // the chain that it jumps to, "" for none
	Log   *Log   // nil for a rule that does not log to an NFLOG group
	Limit string // such as "10/minute"; "" for none
}

// Log is where a rule logs to.
type Log struct {
	Group     uint16
	Threshold uint16 // packets that the kernel collects; 0 if the reader decides
	Size      uint32 // bytes that are copied of a packet; 0 if the reader decides
}

// Ruleset holds all chains.
type Ruleset []Chain

// LogsTo returns the rules that log to a group, with their chains.
func (s Ruleset) LogsTo(group uint16) (found []Place) {
	for i := range s {
		for j := range s[i].Rules {
			if r := &s[i].Rules[j]; r.Log != nil && r.Log.Group == group {
				found = append(found, Place{&s[i], r})
			}
		}
	}
	return found
}

// Place is a rule in its chain; Rule is nil for the chain's policy.
type Place struct {
	Chain *Chain
	Rule  *Rule
}

// String returns the place in a form that a person can find.
func (p Place) String() string {
	if p.Rule == nil {
		return p.Chain.Tool + " " + p.Chain.Table + " " + p.Chain.Name + ", its policy"
	}
	where := p.Chain.Tool + " " + p.Chain.Table + " " + p.Chain.Name + ", rule " + strconv.Itoa(p.Rule.Number)
	switch {
	case p.Rule.Match != "":
		where += " (" + p.Rule.Match + ")"
	case p.Rule.InMap:
		where += " (its verdict map)"
	}
	return where
}

// Drops returns the places where packets are dropped or rejected: those behind a rule that
// logs to one of the groups, and those without such a rule. The last place of a chain comes
// first. So when commands that insert rules run in this order, the remaining rule numbers
// stay valid.
func (s Ruleset) Drops(groups []uint16) (logged, silent []Place) {
	sort := func(p Place, passed int, conditions []string) {
		if s.isLogged(p.Chain, passed, conditions, groups, nil) {
			logged = append(logged, p)
		} else {
			silent = append(silent, p)
		}
	}
	for i := range s {
		c := &s[i]
		if c.Policy == "drop" {
			sort(Place{Chain: c}, len(c.Rules), nil)
		}
		for j := len(c.Rules) - 1; j >= 0; j-- {
			if r := &c.Rules[j]; r.Drops {
				sort(Place{c, r}, j+1, r.Conditions)
			}
		}
	}
	return logged, silent
}

// isLogged reports whether a packet that matches the conditions was logged before it has
// passed the given number of rules of a chain: either by one of these rules that requires
// no other conditions, or on every way that leads to the chain.
func (s Ruleset) isLogged(c *Chain, passed int, conditions []string, groups []uint16, visited []*Chain) bool {
	for i := range passed {
		if r := &c.Rules[i]; r.Log != nil && slices.Contains(groups, r.Log.Group) && includes(conditions, r.Conditions) {
			return true
		}
	}
	if slices.Contains(visited, c) {
		return false
	}
	visited = append(slices.Clone(visited), c)
	ways := 0
	for i := range s {
		from := &s[i]
		if from.Tool != c.Tool || from.Table != c.Table {
			continue
		}
		for j := range from.Rules {
			if r := &from.Rules[j]; r.Jump == c.Name {
				ways++
				if !s.isLogged(from, j, slices.Concat(conditions, r.Conditions), groups, visited) {
					return false
				}
			}
		}
	}
	return ways > 0
}

func includes(all, some []string) bool {
	return !slices.ContainsFunc(some, func(c string) bool { return !slices.Contains(all, c) })
}

// Command returns the command that adds a logging rule before a place. It is "" if the
// rule's match cannot be expressed.
func (p Place) Command(group uint16, prefix string) string {
	cfg := rules.Config{
		For: "plain", Backend: rules.IPTables, Tool: p.Chain.Tool, Table: p.Chain.Table, Chain: p.Chain.Name,
		Group: uint(group), Prefix: prefix,
	}
	if p.Chain.Tool == rules.NFT {
		cfg.Backend = rules.NFT
	}
	if p.Rule == nil {
		return cfg.Steps()[0].Command
	}
	cfg.Before, cfg.Match = p.Rule.Number, p.Rule.Match
	if cfg.Backend == rules.NFT {
		cfg.Before = int(p.Rule.Handle)
	}
	if cfg.Match == "" && p.Rule.InMap {
		return ""
	}
	if cfg.Match == "" && len(p.Rule.Conditions) > 0 {
		return cfg.Copy()
	}
	return cfg.Steps()[0].Command
}
