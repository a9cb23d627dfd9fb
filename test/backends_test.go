package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// backend is one way to add rules that log what they deny.
type backend struct {
	name     string
	commands []string // the commands that it needs
	prefix   string   // of its rules
	limited  bool     // its rules log no more than ten packets a minute
	// rules returns the commands that deny traffic to the server.
	rules func(s *scene) [][]string
}

// install puts the rules in place.
func (b backend) install(t *testing.T, s *scene) {
	t.Helper()
	system.Need(t, b.commands...)
	for _, command := range b.rules(s) {
		s.run(t, command...)
	}
}

// note returns the part of an event about the prefix and the rule's limit.
func (b backend) note() string {
	if b.limited {
		return ". At least this many packets: the rule that logs has a limit of 10/minute."
	}
	if b.prefix == "" {
		return "."
	}
	return fmt.Sprintf(" (NFLOG prefix %q).", b.prefix)
}

func backends() []backend {
	return []backend{
		{name: "iptables-nft", commands: []string{"iptables-nft", "ip6tables-nft"}, prefix: "deny: ", rules: iptables("-nft")},
		{name: "iptables-legacy", commands: []string{"iptables-legacy", "ip6tables-legacy"}, prefix: "deny: ", rules: iptables("-legacy")},
		{name: "nftables", commands: []string{"nft"}, prefix: "nft-deny", rules: nft},
		{name: "kube-router", commands: []string{"iptables-nft", "ip6tables-nft"}, limited: true, rules: kubeRouter},
		{name: "kube-router nftables", commands: []string{"nft"}, limited: true, rules: kubeRouterNFT},
	}
}

// iptables returns the rules for a variant of iptables and ip6tables.
func iptables(variant string) func(*scene) [][]string {
	return func(s *scene) (commands [][]string) {
		for command, server := range map[string]string{"iptables": s.server.v4.String(), "ip6tables": s.server.v6.String()} {
			commands = append(commands,
				[]string{command + variant, "-A", "FORWARD", "-d", server, "-j", "NFLOG", "--nflog-group", "100", "--nflog-prefix", "deny: "},
				[]string{command + variant, "-A", "FORWARD", "-d", server, "-j", "DROP"})
		}
		return commands
	}
}

func nft(s *scene) [][]string {
	return nftables(s, `log prefix "nft-deny" group 100`, "drop")
}

// nftables returns the commands for a forward chain with the statements for
// traffic to the server.
func nftables(s *scene, statements ...string) [][]string {
	script := []string{
		"add table inet deny",
		"add chain inet deny forward { type filter hook forward priority 0; }",
		"add chain inet deny server",
		"add rule inet deny forward ip daddr " + s.server.v4.String() + " jump server",
		"add rule inet deny forward ip6 daddr " + s.server.v6.String() + " jump server",
	}
	for _, statement := range statements {
		script = append(script, "add rule inet deny server "+statement)
	}
	return [][]string{{"nft", strings.Join(script, "\n")}}
}

// kubeRouter returns the rules that kube-router puts at the end of a pod's chain. They
// have no prefix but a limit, and REJECT, which sends an answer.
func kubeRouter(s *scene) (commands [][]string) {
	const chain = "KUBE-POD-FW-QNZFIWPI3QXZQZKJ"
	unmarked := []string{"-m", "mark", "!", "--mark", "0x10000/0x10000"}
	comment := []string{"-m", "comment", "--comment", s.namespace + "/server log-drop"}
	limit := []string{"-m", "limit", "--limit", "10/minute", "--limit-burst", "10"}
	for command, server := range map[string]string{"iptables-nft": s.server.v4.String(), "ip6tables-nft": s.server.v6.String()} {
		log := append([]string{command, "-A", chain}, comment...)
		log = append(append(log, unmarked...), "-j", "NFLOG", "--nflog-group", "100")
		reject := append(append([]string{command, "-A", chain}, unmarked...), "-j", "REJECT")
		commands = append(commands,
			[]string{command, "-N", chain},
			[]string{command, "-A", "FORWARD", "-d", server, "-j", chain},
			append(log, limit...),
			reject)
	}
	return commands
}

// kubeRouterNFT returns the same rules as kube-router's nftables mode makes them.
func kubeRouterNFT(s *scene) [][]string {
	return nftables(s,
		"meta mark and 0x10000 == 0x0 limit rate 10/minute burst 10 packets log group 100",
		"meta mark and 0x10000 == 0x0 reject")
}
