package rules

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// plain returns steps that log every packet that reaches a place in a chain.
func (c *Config) plain() []Step {
	what := fmt.Sprintf("Logs to NFLOG group %d what reaches the end of chain %s of table %s, where its policy\ndecides. NFLOG drops nothing: the packet goes on to what follows.", c.Group, c.Chain, c.Table)
	if c.Before > 0 {
		what = fmt.Sprintf("Logs to NFLOG group %d what is about to reach the rule that drops in chain %s of table %s,\nwhich this one goes in front of. NFLOG drops nothing: the packet goes on to that rule.", c.Group, c.Chain, c.Table)
	}
	if c.Limit != "" {
		what += fmt.Sprintf("\nLogs %s at most: beyond that, counts are lower bounds.", c.Limit)
	}
	if c.Backend == NFT {
		step := Step{what, "nft " + quote(c.nftRule())}
		if strings.HasPrefix(c.Table, "inet ") {
			step.Comment += "\nOne rule for IPv4 and IPv6: the table's family is inet."
		}
		return []Step{step}
	}
	steps := []Step{{what, c.iptablesRule(cmp.Or(c.Tool, IPTables))}}
	if c.IPv6 {
		steps = append(steps, Step{"The same for IPv6.", c.iptablesRule("ip6tables")})
	}
	return steps
}

// iptablesRule returns the command of iptables or ip6tables.
func (c *Config) iptablesRule(command string) string {
	words := []string{command}
	if c.Table != "filter" {
		words = append(words, "-t", c.Table)
	}
	if c.Before > 0 {
		words = append(words, "-I", c.Chain, strconv.Itoa(c.Before))
	} else {
		words = append(words, "-A", c.Chain)
	}
	words = append(words, strings.Fields(c.Match)...)
	if c.Limit != "" {
		words = append(words, "-m", "limit", "--limit", c.Limit)
	}
	words = append(words, c.nflogTarget()...)
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

func (c *Config) nflogTarget() []string {
	target := []string{"-j", "NFLOG", "--nflog-group", strconv.Itoa(int(c.Group))}
	if c.Prefix != "" {
		target = append(target, "--nflog-prefix", c.Prefix)
	}
	return target
}

// nftRule returns the rule for nft as one argument, because a shell would remove the quotes
// around the prefix.
func (c *Config) nftRule() string {
	words := []string{"add rule", c.Table, c.Chain}
	if c.Before > 0 {
		words = []string{"insert rule", c.Table, c.Chain, "handle", strconv.Itoa(c.Before)}
	}
	words = append(words, strings.Fields(c.Match)...)
	if c.Limit != "" {
		words = append(words, "limit rate", c.Limit)
	}
	words = append(words, "log group", strconv.Itoa(int(c.Group)))
	if c.Prefix != "" {
		words = append(words, `prefix "`+c.Prefix+`"`)
	}
	return strings.Join(words, " ")
}

// quote quotes text as one word of a shell command line.
func quote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=+@%", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
