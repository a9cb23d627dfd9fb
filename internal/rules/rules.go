// Package rules writes firewall rules that log to an NFLOG group. Its input is a chain with
// a group, a prefix and a limit. Its output is the commands of iptables or nftables that
// add the rules, each with an explanation. It runs nothing and has no state, so everything
// may be called concurrently.
package rules

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/printable"
)

// The values of Config.Backend.
const (
	IPTables = "iptables"
	NFT      = "nft"
)

// Config describes the wanted rules.
type Config struct {
	For     string // one of CNIs
	Backend string // IPTables or NFT
	Tool    string // command for IPTables, such as "ip6tables-legacy"; "" for "iptables", and with IPv6 "ip6tables"
	// Table is the table of the chain: for iptables a name such as "filter", for nft a
	// family and a name such as "inet filter". "" stands for these two.
	Table string
	Chain string // "" for FORWARD; with nft, forward
	// Before is the rule that drops, before which the new rule goes: its number for
	// iptables, its handle for nft. 0 appends the new rule.
	Before int
	// Match is the match of the new rule in the syntax of the backend, separated by spaces.
	// "" matches every packet.
	Match  string
	Group  uint
	Prefix string
	IPv6   bool   // also add rules for IPv6, if they are separate rules
	Limit  string // such as "50/second"; "" for none
}

// Step is a command and its explanation.
type Step struct {
	Comment string // one or several lines
	Command string // one line for a shell; "" if nothing must be done
}

// CNIs are the values of Config.For.
func CNIs() []string { return []string{"plain", "calico", "kube-router", "k3s"} }

// The longest prefixes. The kernel's arrays have one byte more (xt_NFLOG.h, nf_log.h).
const (
	maxIPTablesPrefix = 63
	maxNFTPrefix      = 127
)

// Validate returns all mistakes at once, one line each, which begins with the name of the
// flag.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(slices.Contains(CNIs(), c.For), "--for: %q is none of %s", c.For, strings.Join(CNIs(), ", "))
	check(c.Backend == IPTables || c.Backend == NFT, "--backend: %q is neither iptables nor nft", c.Backend)
	check(c.Group <= 65535, "--group: %d is not an NFLOG group (0 to 65535)", c.Group)
	check(c.Chain == "" || isWord(c.Chain), "--chain: %q is no name of a chain", c.Chain)
	check(c.Before >= 0, "--before: %d is negative", c.Before)
	check(printable.Is(c.Match), "--match: must be one line of text")
	if c.Table != "" {
		words := map[string]int{IPTables: 1, NFT: 2}[c.Backend]
		names := strings.Fields(c.Table)
		check(len(names) == words && !slices.ContainsFunc(names, func(n string) bool { return !isWord(n) }),
			"--table: %q is no table of %s, such as %q", c.Table, c.Backend, defaultTable(c.Backend))
	}
	return errors.Join(append(errs, c.validatePrefix(), c.validateLimit(), c.validateFor())...)
}

// validateFor returns the settings that make no sense for rules of other programs.
func (c *Config) validateFor() error {
	if c.For == "plain" || !slices.Contains(CNIs(), c.For) {
		return nil
	}
	given := map[string]bool{"--table": c.Table != "", "--chain": c.Chain != "", "--before": c.Before != 0, "--match": c.Match != ""}
	if c.For != "calico" { // their rules log already
		given["--prefix"], given["--limit"] = c.Prefix != "", c.Limit != ""
	}
	var errs []error
	for _, flag := range slices.Sorted(maps.Keys(given)) {
		if given[flag] {
			errs = append(errs, fmt.Errorf("%s: goes without --for %s", flag, c.For))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validatePrefix() error {
	longest := maxIPTablesPrefix
	if c.Backend == NFT {
		longest = maxNFTPrefix
	}
	switch {
	case len(c.Prefix) > longest:
		return fmt.Errorf("--prefix: is %d bytes long, %s takes %d", len(c.Prefix), c.Backend, longest)
	case !printable.Is(c.Prefix):
		return errors.New("--prefix: must be one line of text")
	case c.Backend == NFT && strings.ContainsAny(c.Prefix, `"\$`):
		return errors.New(`--prefix: nft takes none of " \ $ in it`)
	}
	return nil
}

// validateLimit accepts the limits that both backends support. The maximum of iptables is
// 10,000 a second.
func (c *Config) validateLimit() error {
	if c.Limit == "" {
		return nil
	}
	parts := regexp.MustCompile(`^([1-9][0-9]{0,8})/(second|minute|hour|day)$`).FindStringSubmatch(c.Limit)
	if parts == nil {
		return fmt.Errorf("--limit: %q is no rate such as 50/second (second, minute, hour, day)", c.Limit)
	}
	seconds := map[string]int{"second": 1, "minute": 60, "hour": 3600, "day": 86400}[parts[2]]
	if n, _ := strconv.Atoi(parts[1]); c.Backend == IPTables && n > 10000*seconds {
		return fmt.Errorf("--limit: iptables takes no more than 10000/second, got %s", c.Limit)
	}
	return nil
}

// Steps returns the commands for a valid configuration, in their order.
func (c Config) Steps() []Step {
	if c.Table == "" {
		c.Table = defaultTable(c.Backend)
	}
	if c.Chain == "" {
		c.Chain = map[string]string{IPTables: "FORWARD", NFT: "forward"}[c.Backend]
	}
	switch c.For {
	case "calico":
		return c.calico()
	case "kube-router":
		return c.kubeRouter("kube-router")
	case "k3s":
		return c.kubeRouter("k3s")
	}
	return c.plain()
}

func defaultTable(backend string) string {
	if backend == NFT {
		return "inet filter"
	}
	return "filter"
}

// isWord reports whether text is a valid name of a table or a chain.
func isWord(text string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_./:+-]+$`).MatchString(text) && !strings.HasPrefix(text, "-")
}
