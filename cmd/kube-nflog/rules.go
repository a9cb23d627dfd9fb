package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/rules"
)

const rulesHelp = `Prints the commands that add a rule which logs to an NFLOG group. Comments say what
each command does. The output is a shell script; rules itself changes nothing:

  kube-nflog rules --chain FORWARD --prefix "deny: "            what FORWARD's policy drops
  kube-nflog rules --chain FORWARD --before 3 --match "-d 10.0.1.7 -p tcp"
  kube-nflog rules --backend nft --table "inet filter" --chain forward --before 12
  kube-nflog rules --for calico

The rule that logs must stand before the rule that drops. --before is the number of
the rule that drops (iptables -L FORWARD --line-numbers), or its handle for nft (nft -a
list ruleset). --match is what that rule matches.`

func rulesCommand() *cobra.Command {
	var c rules.Config
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Prints the iptables or nftables rules to add",
		Long:  rulesHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Validate(); err != nil {
				return usageError{oneLineEach(err)}
			}
			return printSteps(cmd.OutOrStdout(), c.Steps())
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.For, "for", "plain", "the program that writes the rules that drop: "+strings.Join(rules.CNIs(), ", "))
	f.StringVar(&c.Backend, "backend", rules.IPTables, "iptables or nft")
	f.StringVar(&c.Table, "table", "", `table of the chain (default "filter"; with nft, family and name: "inet filter")`)
	f.StringVar(&c.Chain, "chain", "", `chain to add the rule to (default "FORWARD"; with nft "forward")`)
	f.IntVar(&c.Before, "before", 0, "put the rule before this one: its number, or its handle for nft (default at the end)")
	f.StringVar(&c.Match, "match", "", "what the rule matches, in the syntax of the backend (default everything)")
	f.UintVar(&c.Group, "group", 100, "NFLOG group to log to")
	f.StringVar(&c.Prefix, "prefix", "", "NFLOG prefix, to tell rules apart")
	f.BoolVar(&c.IPv6, "ipv6", false, "print the commands for IPv6 too, if they differ")
	f.StringVar(&c.Limit, "limit", "", "log no more than this, such as 50/second")
	f.SortFlags = false
	return cmd
}

// printSteps prints a shell script.
func printSteps(w io.Writer, steps []rules.Step) error {
	var b strings.Builder
	for i, s := range steps {
		if i > 0 {
			b.WriteByte('\n')
		}
		for line := range strings.Lines(s.Comment) {
			b.WriteString("# " + strings.TrimRight(line, "\n") + "\n")
		}
		b.WriteString(s.Command + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print rules: %w", err)
	}
	return nil
}
