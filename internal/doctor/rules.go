package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/firewall"
)

// maxSilent is the number of silent drops that are listed one by one.
const maxSilent = 10

// wholeHeader is the number of bytes that contain every header in practice.
const wholeHeader = 128

// firewallRules checks which rules log, and which drop unlogged packets.
func firewallRules(ctx context.Context, cfg *Config) []Finding {
	var found []Finding
	ruleset, err := firewall.ReadNFT()
	if err != nil {
		found = append(found, note("rules", "run as root in the node's network namespace; without nftables in the kernel this is fine",
			"the rules of nftables were not read: %v", err))
	}
	legacy, err := firewall.ReadLegacy(ctx)
	if err != nil {
		remedy := "run doctor where iptables-legacy is installed and may be run"
		if errors.Is(err, firewall.ErrNoTool) {
			remedy = "install iptables-legacy, or run kube-nflog doctor on the host instead of in the container"
		}
		found = append(found, note("rules", remedy, "the rules of iptables-legacy are not known: %v", err))
	}
	ruleset = append(ruleset, legacy...)
	if len(found) > 0 {
		return append(found, partly(ruleset, cfg.Groups)...)
	}
	return append(found, wholly(ruleset, cfg.Groups)...)
}

// wholly checks a complete list of rules.
func wholly(ruleset firewall.Ruleset, groups []uint16) (found []Finding) {
	for _, g := range groups {
		found = append(found, logging(ruleset, g)...)
	}
	return append(found, silent(ruleset, groups)...)
}

// partly checks an incomplete list of rules: what is missing may exist.
func partly(ruleset firewall.Ruleset, groups []uint16) (found []Finding) {
	for _, f := range wholly(ruleset, groups) {
		if strings.HasPrefix(f.Says, "no rule ") {
			f.Status, f.Says, f.Remedy = Note, strings.Replace(f.Says, "no rule ", "no rule that could be read ", 1), "see above"
		}
		found = append(found, f)
	}
	return found
}

// logging checks the rules that log to the group.
func logging(ruleset firewall.Ruleset, group uint16) []Finding {
	places := ruleset.LogsTo(group)
	if len(places) == 0 {
		remedy := "kube-router and k3s add theirs as soon as a NetworkPolicy selects a pod of this node; for other rules see kube-nflog rules --help"
		if others := otherGroups(ruleset); others != "" {
			remedy = "run kube-nflog with the group that they log to: there are rules for " + others
		} else if slices.ContainsFunc(ruleset, func(c firewall.Chain) bool { return c.Owner() == firewall.Calico }) {
			remedy = "see what is said of Calico below"
		}
		return []Finding{problem("rules", remedy, "no rule logs to NFLOG group %d", group)}
	}
	found := []Finding{ok("rules", "rules that log to NFLOG group %d: %d", group, len(places))}
	found = append(found, limits(places)...)
	for _, p := range places {
		if p.Rule.Log.Threshold > 1 {
			found = append(found, note("threshold", "remove --nflog-threshold (nft: queue-threshold): kube-nflog sets one that suits it",
				"%s hands on at most %d packets at a time, which costs more CPU for each", p, p.Rule.Log.Threshold))
		}
		if size := p.Rule.Log.Size; size > 0 && size < wholeHeader {
			found = append(found, problem("size", fmt.Sprintf("remove --nflog-size (nft: snaplen), or make it %d at least", wholeHeader),
				"%s copies only %d bytes of a packet: ports or addresses may be cut off", p, size))
		}
	}
	return found
}

// limits returns one finding for each program that writes rules with a limit, and one for
// each other such rule, because its limit can be changed.
func limits(places []firewall.Place) (found []Finding) {
	const check = "limit"
	type kind struct {
		owner firewall.Owner
		limit string
	}
	counts := map[kind]int{}
	for _, p := range places {
		if p.Rule.Limit == "" {
			continue
		}
		k := kind{p.Chain.Owner(), p.Rule.Limit}
		if counts[k]++; k.owner == firewall.Host {
			found = append(found, note(check, "raise or remove the rule's limit, if every packet counts",
				"%s logs %s at most: counts are lower bounds", p, p.Rule.Limit))
		}
	}
	var owned []Finding
	for k, count := range counts {
		if k.owner != firewall.Host {
			owned = append(owned, note(check, "", "rules of %s that log %s at most, each: %d; counts are lower bounds, and the limit cannot be changed",
				k.owner, k.limit, count))
		}
	}
	slices.SortFunc(owned, func(a, b Finding) int { return strings.Compare(a.Says, b.Says) })
	return append(found, owned...)
}

func otherGroups(ruleset firewall.Ruleset) string {
	seen := map[uint16]bool{}
	var names []string
	for i := range ruleset {
		c := &ruleset[i]
		if c.Owner() == firewall.Calico {
			continue // Felix reads what it logs itself, and a group has one reader
		}
		for _, r := range c.Rules {
			if r.Log != nil && !seen[r.Log.Group] {
				seen[r.Log.Group] = true
				names = append(names, fmt.Sprintf("group %d", r.Log.Group))
			}
		}
	}
	return strings.Join(names, ", ")
}

// silent returns the places that drop unlogged packets. They are a problem if all places
// that drop are silent. Places of a known program are one finding.
func silent(ruleset firewall.Ruleset, groups []uint16) []Finding {
	const check = "drops"
	logged, places := ruleset.Drops(groups)
	found, places := owned(places, len(logged) == 0)
	hasProblem := slices.ContainsFunc(found, func(f Finding) bool { return f.Status == Problem })
	switch {
	case len(places) == 0 && len(logged) > 0 && !hasProblem:
		found = append([]Finding{ok(check, "places that drop or reject, each after a rule that logs: %d", len(logged))}, found...)
	case len(places) == 0 && len(logged) == 0 && !hasProblem:
		what := "no rule drops or rejects anything here"
		if len(found) > 0 {
			what = "no other rule drops or rejects anything here"
		}
		found = append(found, note(check, "", "%s", what))
	}
	status := Problem
	if len(logged) > 0 {
		status = Note
	}
	for i, p := range places {
		if i == maxSilent {
			return append(found, Finding{check, status, fmt.Sprintf("and %d more places", len(places)-i), ""})
		}
		found = append(found, Finding{check, status, fmt.Sprintf("%s drops what no rule before it logs", p), p.Command(groups[0], "deny: ")})
	}
	return found
}
