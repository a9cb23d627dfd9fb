//go:build linux

package main

import (
	"errors"
	"os"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/agent"
)

const runHelp = `Runs the agent: reads NFLOG groups, and writes each denied packet as a Kubernetes
event onto the pods concerned, until SIGTERM.

Which packets it reads is up to the rules of the node's firewall:

  iptables -I FORWARD … -j NFLOG --nflog-group 100      before the rule that drops
  nft insert rule inet … log group 100 drop

kube-router and k3s log what their NetworkPolicies deny to group 100 by themselves.

Needs CAP_NET_ADMIN in the host's network namespace. In a cluster it uses its
service account. Without a cluster it prints what it sees:

  kube-nflog run --events=false --output json

Every flag can be set in the environment, as KUBE_NFLOG_ and the flag's name in
capitals with _ for -; a flag on the command line comes first. A KUBE_NFLOG_
variable of another name is an error. NODE_NAME and
NFLOG_GROUP are read too, and those variables of kube-iptables-tailer that
still mean something.`

// tailerInterval is a variable of kube-iptables-tailer that has no use here: it
// left packets out, between the same addresses within so many minutes, to spare
// the API server. As a floor of the emitter's schedule it would only make counts
// older.
const tailerInterval = "REPEATED_EVENTS_INTERVAL_MINUTES"

func runCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Runs the agent of a node",
		Long:  runHelp,
		// parse reads the flags: cobra would report only the first mistake.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
				return cmd.Help()
			}
			if err := errors.Join(o.parse(cmd.Flags(), args), o.validate()); err != nil {
				return usageError{oneLineEach(err)}
			}
			log := newLogger(os.Stderr, o.logLevel, o.logFormat)
			if os.Getenv(tailerInterval) != "" {
				log.Warn("ignored: nothing is left out, and event counts are written ever more rarely; --event-qps bounds writes", "variable", tailerInterval)
			}
			if len(o.ignored) > 0 {
				log.Warn("ignored: the kubelet has set these for a Service of this name; enableServiceLinks: false in the pod's spec keeps them out",
					"variables", o.ignored)
			}
			spare()
			cfg, err := o.agentConfig(log)
			if err != nil {
				return err
			}
			cfg.AwaitGroups = true
			if o.output == outputJSON {
				cfg.Lines = cmd.OutOrStdout()
			}
			a, err := agent.New(cmd.Context(), cfg)
			if err != nil {
				return asUsage(err)
			}
			return a.Run(cmd.Context())
		},
	}
	o.define(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}

// asUsage makes a usageError of a mistake in an agent's configuration.
func asUsage(err error) error {
	if errors.As(err, new(agent.ConfigError)) {
		return usageError{err}
	}
	return err
}

// spare has the process take less memory from the start. The heap grows by half
// of what is live, and of the globals, before the next collection, instead of by
// all of it: on an idle agent that is 4 MiB less. Garbage comes with flows and
// changes of pods, not with packets, so that collecting twice as often costs
// little. GOGC in the environment comes first.
func spare() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
