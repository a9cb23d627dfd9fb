//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/agent"
)

const runHelp = `Runs the agent until SIGTERM: reads NFLOG groups, and reports each denied packet as
a Kubernetes event on the pods concerned.

The rules of the node's firewall decide which packets it reads:

  iptables -I FORWARD … -j NFLOG --nflog-group 100      before the rule that drops
  nft insert rule inet … log group 100 drop

kube-router and k3s log what their NetworkPolicies deny to group 100 without such a rule.

It needs CAP_NET_ADMIN in the host's network namespace. In a cluster it uses its
service account. Without a cluster it can print what it sees:

  kube-nflog run --events=false --output json

Every flag can be set by an environment variable: KUBE_NFLOG_ and the flag's name in
capitals, with _ for -. A flag on the command line comes first. A KUBE_NFLOG_ variable
that belongs to no flag is an error. NODE_NAME and NFLOG_GROUP are read too, and the
variables of kube-iptables-tailer that still have a meaning.`

// tailerInterval is a variable of kube-iptables-tailer that is ignored. There it
// left out packets between the same addresses, to spare the API server. Here every
// packet counts, and --event-qps limits the writes.
const tailerInterval = "REPEATED_EVENTS_INTERVAL_MINUTES"

func runCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Runs the agent of a node",
		Long:  runHelp,
		// parse reads the flags, because cobra would report only the first mistake.
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
				log.Warn("ignored: every packet counts, and --event-qps limits the writes", "variable", tailerInterval)
			}
			if len(o.ignored) > 0 {
				log.Warn("ignored: the kubelet sets these variables for a Service of this name; enableServiceLinks: false in the pod's spec avoids them",
					"variables", o.ignored)
			}
			saveMemory()
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

// asUsage returns a usageError for a mistake in an agent's configuration.
func asUsage(err error) error {
	if errors.As(err, new(agent.ConfigError)) {
		return usageError{err}
	}
	return err
}

// saveMemory makes the garbage collector run twice as often. An idle agent then
// takes 4 MiB less. This costs little CPU, because packets make no garbage, only
// flows and changes of pods do. GOGC in the environment comes first.
func saveMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("read log level: %w", err)
	}
	return level, nil
}

// newLogger returns a logger for valid values of --log-level and --log-format.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	least, _ := parseLevel(level)
	options := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
