//go:build linux

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestExitStatus(t *testing.T) {
	tests := []struct {
		args []string
		want int
	}{
		{[]string{"version"}, 0},
		{[]string{"--version"}, 0},
		{[]string{"run", "--help"}, 0},
		{[]string{"run", "--no-such"}, exitUsage},
		{[]string{"run", "--kubeconfig", "/no/such/file"}, exitUsage},
		{[]string{"fly"}, exitUsage},
		{[]string{"fly", "--help"}, exitUsage},
		{[]string{"--help", "fly"}, exitUsage},
		{[]string{"--help"}, 0},
		{[]string{"help"}, 0},
		{[]string{"help", "run"}, 0},
		{[]string{"help", "help"}, 0},
		{[]string{"help", "fly"}, exitUsage},
		{[]string{"help", "run", "fly"}, exitUsage},
		{[]string{"version", "--no-such"}, exitUsage},
		{[]string{"version", "now"}, exitUsage},
	}
	for _, tt := range tests {
		root := rootCommand()
		root.SetArgs(tt.args)
		root.SetOut(io.Discard)
		if got := statusOf(execute(t.Context(), root)); got != tt.want {
			t.Errorf("%v: exit status %d, want %d", tt.args, got, tt.want)
		}
	}
}

// TestMistakes compares what people read when they mistype.
func TestMistakes(t *testing.T) {
	t.Setenv("KUBECONFIG", "/no/such/file")
	tests := []struct{ line, want string }{
		{"doctor --group x", `--group: "x" is not a number, or several with commas between`},
		{"rules --before many", `--before: "many" is not a whole number`},
		{"rules --group", `--group: needs a value`},
		{"run --prefix", `--prefix: needs a value`},
		{"doctr --help", "unknown command \"doctr\" for \"kube-nflog\"\n\nDid you mean this?\n\tdoctor\n"},
		{"help doctr", "unknown command \"doctr\" for \"kube-nflog\"\n\nDid you mean this?\n\tdoctor\n"},
		{"help run fly", "unknown command \"fly\" for \"kube-nflog run\""},
		{"watch --nope", `--nope: no such flag, see --help`},
		{"watch -n", `-n: no such flag, see --help`},
		{"watch --namespace Shop", `--namespace: "Shop" is no name of a namespace`},
		{"watch --namespace shop/api", `--namespace: "shop/api" is no name of a namespace`},
		{"watch --pod shop/api/web", `--pod: "shop/api/web" is no name of a pod`},
		{"watch --policy /api", `--policy: "/api" is no name of a policy`},
		{"watch --reason=", `--reason: must not be empty`},
		{"watch --for=-5m", `--for: -5m0s is negative`},
		{"watch --agent --group 5", `--group: goes without --agent, which has groups of its own`},
		{"watch --protocol tcp,tpc", `--protocol: "tpc" is no protocol such as tcp, udp, icmp, icmpv6 or sctp`},
		{"doctor", "KUBECONFIG: there is no file /no/such/file"},
		{"rules --for k3s --prefix x", `--prefix: goes without --for k3s`},
		{"explain --from a/b --to c/d --port 80", `KUBECONFIG: there is no file /no/such/file`},
	}
	for _, tt := range tests {
		root := rootCommand()
		root.SetArgs(strings.Fields(tt.line))
		root.SetOut(io.Discard)
		err := execute(t.Context(), root)
		if err == nil || statusOf(err) != exitUsage || err.Error() != tt.want {
			t.Errorf("%s: exit status %d: %v, want %d: %s", tt.line, statusOf(err), err, exitUsage, tt.want)
		}
	}
}

// TestEveryFlagIsExplained keeps --help complete.
func TestEveryFlagIsExplained(t *testing.T) {
	walk(rootCommand(), func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s: no short help", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s: no help", c.CommandPath(), f.Name)
			}
		})
	})
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}
