package rules

import (
	"cmp"
	"fmt"
	"strings"
)

// Copy returns the command that adds a rule before the one that drops (Before), with the
// same match. The backend itself lists that rule and reads it again, so every match of the
// backend works. Match and Limit are not used.
func (c Config) Copy() string {
	if c.Backend == NFT {
		return c.copyNFT()
	}
	tool := cmp.Or(c.Tool, IPTables)
	list := tool
	if c.Table != "filter" {
		list += " -t " + quote(c.Table)
	}
	program := fmt.Sprintf(`s/^-A ([^ ]+)(.*) -j (DROP|REJECT).*/-I \1 %d\2 -j NFLOG --nflog-group %d%s/p`,
		c.Before, c.Group, forSED(option(" --nflog-prefix", strings.ReplaceAll(c.Prefix, `\`, `\\`))))
	return fmt.Sprintf(`printf '*%s\n%%s\nCOMMIT\n' "$(%s -S %s %d | sed -nE %s)" | %s-restore -n`,
		c.Table, list, quote(c.Chain), c.Before, quote(program), tool)
}

// copyNFT removes the counter, other log statements, and the comment of the rule.
func (c *Config) copyNFT() string {
	const counter, log = `counter packets [0-9]+ bytes [0-9]+`,
		`log( (prefix "[^"]*"|(level|group|snaplen|queue-threshold) [^ ]+|flags (all|skuid|ether|ip options|tcp [a-z,]+)))*`
	program := fmt.Sprintf(`/ # handle %d$/{s/ comment ".*//;s/%s //;s/%s //;s/^[[:space:]]*(.*)(drop|reject).*/insert rule %s handle %d \1log group %d%s/p}`,
		c.Before, counter, log, forSED(c.Table+" "+c.Chain), c.Before, c.Group, forSED(option(" prefix", c.Prefix)))
	return fmt.Sprintf("nft -a list chain %s %s | sed -nE %s | nft -f -", c.Table, quote(c.Chain), quote(program))
}

// option returns a word with its quoted value, "" if the value is empty.
func option(word, value string) string {
	if value == "" {
		return ""
	}
	return word + ` "` + strings.ReplaceAll(value, `"`, `\"`) + `"`
}

// forSED escapes the characters that sed interprets in a replacement.
func forSED(text string) string {
	return strings.NewReplacer(`\`, `\\`, `&`, `\&`, `/`, `\/`).Replace(text)
}
