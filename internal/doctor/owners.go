package doctor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/firewall"
)

// maxNames bounds the pods or chains that one finding names.
const maxNames = 5

// owned returns one finding for each program that drops unlogged packets in its own chains,
// and the places in other chains. Rules that others add to such chains do not last, so no
// finding has a command that adds one.
func owned(places []firewall.Place, nothingLogged bool) (found []Finding, others []firewall.Place) {
	by := map[firewall.Owner][]firewall.Place{}
	for _, p := range places {
		owner := p.Chain.Owner()
		by[owner] = append(by[owner], p)
	}
	for _, owner := range firewall.Owners() {
		if theirs := by[owner]; len(theirs) > 0 {
			found = append(found, ofOwner(owner, theirs, nothingLogged)...)
		}
	}
	return found, by[firewall.Host]
}

// ofOwner returns what the drops in an owner's chains mean. If NetworkPolicies deny packets
// unlogged, that is a problem, whatever else is logged.
func ofOwner(owner firewall.Owner, places []firewall.Place, nothingLogged bool) []Finding {
	const check = "drops"
	status := Note
	if nothingLogged {
		status = Problem
	}
	chains := chainNames(places)
	switch owner {
	case firewall.Calico:
		return []Finding{problem(check, calicoRemedy(places), "Calico drops or rejects in its own chains, unlogged (places: %d, in %s): "+
			"what its policies deny is not reported", len(places), chains)}
	case firewall.KubeRouter:
		return ofKubeRouter(places)
	case firewall.KubeProxy:
		return []Finding{note(check, "", "%s drop in chains of their own, unlogged (%s): what has an impossible address, "+
			"belongs to no connection or goes to a Service without endpoints; no NetworkPolicy denies that", owner, chains)}
	case firewall.Docker:
		return []Finding{note(check, "", "Docker drops in chains of its own, unlogged (%s): what comes from one of its networks to another, "+
			"or from outside to a port that is not published. Rules of yours last in its chain DOCKER-USER alone", chains)}
	case firewall.Firewalld:
		return []Finding{{check, status, fmt.Sprintf("firewalld drops or rejects in chains of its own, unlogged (places: %d, in %s)", len(places), chains),
			"it writes them anew at each reload; a direct rule lasts, see firewalld in docs/rules.md"}}
	case firewall.UFW:
		return []Finding{{check, status, fmt.Sprintf("ufw drops or rejects in chains of its own, unlogged (places: %d, in %s)", len(places), chains),
			"it writes them anew at each reload; a rule in /etc/ufw/after.rules lasts, see ufw in docs/rules.md"}}
	case firewall.Host:
	}
	return nil
}

// calicoRemedy returns the commands that print rules for Calico's chains. They are only for
// a look, because Felix removes foreign rules.
func calicoRemedy(places []firewall.Place) string {
	var commands []string
	for _, p := range places {
		command := "kube-nflog rules --for calico"
		if p.Chain.Tool == "nft" {
			command += " --backend nft"
		}
		if !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	return "no rule lasts in these chains, as Felix takes those of others out; for a look at this node until then: " + strings.Join(commands, ", ")
}

// invalidState is kube-router's comment on a rule in each pod's chain. The rule drops
// packets that belong to no connection, and no policy causes it.
const invalidState = "rule to drop invalid state for pod"

// ofKubeRouter separates the chains in which kube-router decides about pods from its other
// chains. In all of them it also drops packets that belong to no connection.
func ofKubeRouter(places []firewall.Place) (found []Finding) {
	const check = "drops"
	var pods []string
	var others []firewall.Place
	for _, p := range places {
		if !p.Chain.IsPodChain() || p.Rule != nil && p.Rule.Comment == invalidState {
			others = append(others, p)
			continue
		}
		pods = append(pods, podOf(p.Chain))
	}
	if len(pods) > 0 {
		slices.Sort(pods)
		found = append(found, problem(check, "kube-router and k3s write their rules anew within minutes (--iptables-sync-period); "+
			"where the rule stays away, restart them on this node, and look for what takes it out",
			"kube-router rejects without a rule that logs before, so that nothing is reported of: %s", some(slices.Compact(pods))))
	}
	if len(others) > 0 {
		found = append(found, note(check, "", "kube-router drops without a policy, unlogged (%s): "+
			"what belongs to no connection, or goes to a port that no Service has; no NetworkPolicy denies that", chainNames(others)))
	}
	return found
}

// podOf returns the pod in the comments of kube-router's rules for it. Older versions write
// "… POD name:api namespace: shop", newer ones "shop/api reject". Without such a comment it
// returns the name of the chain.
func podOf(c *firewall.Chain) string {
	const name = `([a-z0-9][a-z0-9.-]*)`
	older := regexp.MustCompile(`POD name: ?` + name + ` namespace: ?` + name)
	newer := regexp.MustCompile(`^` + name + `/` + name + ` (?:log-drop|reject)$`)
	for _, r := range c.Rules {
		if m := older.FindStringSubmatch(r.Comment); m != nil {
			return m[2] + "/" + m[1]
		}
		if m := newer.FindStringSubmatch(r.Comment); m != nil {
			return m[1] + "/" + m[2]
		}
	}
	return "the pod of chain " + c.Name
}

// chainNames returns the names of the places' chains, each once.
func chainNames(places []firewall.Place) string {
	var names []string
	for _, p := range places {
		if name := p.Chain.Tool + " " + p.Chain.Name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return some(names)
}

// some joins the first of many names.
func some(names []string) string {
	if len(names) <= maxNames {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
}
