package rules

import (
	"fmt"
	"strings"
)

// kubeRouter returns steps that only show the existing rules, because nothing must be
// added.
func (c *Config) kubeRouter(name string) []Step {
	what := name + " needs no rule: what its NetworkPolicies deny it logs to NFLOG group 100, without a prefix,\n" +
		"10 packets a minute for each pod, so that counts are lower bounds. kube-nflog reads group 100\n" +
		"unless told otherwise."
	if name == "k3s" {
		what += "\nk3s logs each packet once more, with the prefix \"DROP by policy NAMESPACE/NAME\" of the policy.\n" +
			"kube-nflog counts it once, and needs both for that: leave --prefix out."
	}
	if c.Group != 100 {
		what += fmt.Sprintf("\nIts group cannot be changed: run kube-nflog with --group 100, not %d.", c.Group)
	}
	what += "\nThis shows its rules, as soon as a NetworkPolicy selects a pod of this node:"
	if c.Backend == NFT {
		return []Step{{what, "nft list ruleset | grep 'log.* group 100'"}}
	}
	steps := []Step{{what, "iptables-save -t filter | grep -e '--nflog-group 100'"}}
	if c.IPv6 {
		steps = append(steps, Step{"The same for IPv6.", "ip6tables-save -t filter | grep -e '--nflog-group 100'"})
	}
	return steps
}

// calico returns steps that add rules before Felix's rules that drop. Those are in the
// chains of every endpoint and policy, so a script must find them.
func (c *Config) calico() []Step {
	what := fmt.Sprintf(`Calico drops in the chains of each endpoint and policy (cali-…), which Felix writes. This adds a
rule that logs to NFLOG group %d before each of those that drop or reject in them now.
Felix takes foreign rules out again when it writes the chain anew, at the latest at its next refresh
(FelixConfiguration iptablesRefreshInterval, nftablesRefreshInterval): good for a look at a
node, not to stay.`, c.Group)
	if c.Backend == NFT {
		steps := []Step{{what, c.calicoNFT("ip")}}
		if c.IPv6 {
			steps = append(steps, Step{"The same for IPv6.", c.calicoNFT("ip6")})
		}
		return steps
	}
	steps := []Step{{what, c.calicoIPTables("iptables")}}
	if c.IPv6 {
		steps = append(steps, Step{"The same for IPv6.", c.calicoIPTables("ip6tables")})
	}
	return steps
}

// calicoIPTables returns a script that numbers the rules of each chain. It removes the
// comments of the rules that drop, because Felix identifies its rules by them. It works
// from the last rule to the first, so that the numbers stay valid.
func (c *Config) calicoIPTables(command string) string {
	target := make([]string, 0, 8)
	if c.Limit != "" {
		target = append(target, "-m", "limit", "--limit", c.Limit)
	}
	for _, word := range c.nflogTarget() {
		target = append(target, quote(word))
	}
	program := `$1 == "-A" { chain = $2; n[chain]++ } ` +
		`chain ~ /^cali-/ && sub(/ -j (DROP|REJECT).*/, "") { ` +
		`gsub(/ -m comment --comment ("[^"]*"|[^ ]+)/, ""); sub(/^-A [^ ]+/, ""); ` +
		`print command " -I " chain " " n[chain] $0 " " target }`
	return fmt.Sprintf("%s-save -t filter | awk -v command=%s -v target=%s %s | tac | sh -e",
		command, command, quote(forAWK(strings.Join(target, " "))), quote(program))
}

// calicoNFT does the same with the handles in Felix's nftables table.
func (c *Config) calicoNFT(family string) string {
	rule := Config{Table: "t", Chain: "c", Group: c.Group, Prefix: c.Prefix, Limit: c.Limit}
	statement := strings.TrimPrefix(rule.nftRule(), "add rule t c ")
	program := `$1 == "chain" { chain = $2 } ` +
		`chain ~ /cali-/ && / (drop|reject).* # handle [0-9]+$/ { handle = $NF; ` +
		`sub(/ (drop|reject).*/, ""); sub(/ *counter packets [0-9]+ bytes [0-9]+/, ""); sub(/^[ \t]+/, " "); ` +
		`print "insert rule " family " calico " chain " handle " handle $0 " " statement }`
	return fmt.Sprintf("nft -a list table %s calico | awk -v family=%s -v statement=%s %s | nft -f -",
		family, family, quote(forAWK(statement)), quote(program))
}

// forAWK doubles backslashes, because awk interprets them in the value of a variable.
func forAWK(text string) string { return strings.ReplaceAll(text, `\`, `\\`) }
