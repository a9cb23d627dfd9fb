//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/internal/agent"
	"github.com/kube-nflog/kube-nflog/internal/watch"
)

const watchHelp = `Shows the drops of this host as they come, until Ctrl-C: a row for each new flow,
and from time to time its rate while it goes on. No cluster is needed.

An NFLOG group has one reader. If an agent runs, the agent is the reader:

  kube-nflog watch --agent              follows that agent instead of the kernel
  kubectl -n kube-nflog exec -it POD -- /kube-nflog watch --agent --namespace shop

Without -it, kubectl leaves the process behind in the pod when it ends. Therefore
--agent without a terminal ends after 30 minutes, or after the time of --for.

If no agent runs, it reads a group itself. That needs CAP_NET_ADMIN:

  kube-nflog watch --protocol tcp --port 8080 --net 10.0.0.0/16
  kube-nflog watch --kubeconfig ~/.kube/config          with the names of pods
  kube-nflog watch --top                                the busiest flows

Reasons and policies are shown with --agent or --kubeconfig. On a host without a
cluster, only the rule's prefix tells the reason.

A terminal gets colours, unless NO_COLOR is set.`

// watchOptions are the values of watch's flags.
type watchOptions struct {
	groups     []uint
	prefixes   []string
	protocols  []string
	ports      []uint
	nets       []string
	namespaces []string
	pods       []string
	policies   []string
	reasons    []string
	duration   time.Duration
	output     string
	top        bool
	kubeconfig string
	reverseDNS bool
	agent      bool
	address    string
}

func watchCommand() *cobra.Command {
	var w watchOptions
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Shows the drops of this host as they come",
		Long:  watchHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := watch.NewOutput(cmd.OutOrStdout())
			view, err := w.view(out)
			if err != nil {
				return usageError{oneLineEach(err)}
			}
			lifetime := watch.Lifetime{For: w.duration, OfAgent: w.agent}
			if !w.agent {
				return lifetime.Run(cmd.Context(), out, func(ctx context.Context) error { return view.Host(ctx, w.openAgent) })
			}
			if !cmd.Flags().Changed("for") && !term.IsTerminal(int(os.Stdin.Fd())) {
				lifetime.For = watch.Unattended
			}
			return lifetime.Run(cmd.Context(), out, func(ctx context.Context) error { return view.FollowAgent(ctx, agentAddresses(w.address)) })
		},
	}
	w.define(cmd.Flags())
	return cmd
}

func (w *watchOptions) define(f *pflag.FlagSet) {
	f.UintSliceVar(&w.groups, "group", nil, "NFLOG group to read; may be given several times")
	f.Lookup("group").DefValue = "100" // where there is no --agent
	f.StringArrayVar(&w.prefixes, "prefix", nil, "only drops whose NFLOG prefix starts with this; may be given several times")
	f.StringSliceVar(&w.protocols, "protocol", nil, "only these protocols, such as tcp,udp,icmp,icmpv6")
	f.UintSliceVar(&w.ports, "port", nil, "only these destination ports")
	f.Lookup("port").DefValue = "" // not []
	f.StringSliceVar(&w.nets, "net", nil, "only drops with an end in one of these networks, such as 10.0.0.0/16 or 2001:db8::1")
	f.StringSliceVar(&w.namespaces, "namespace", nil, "only drops with an end in one of these namespaces")
	f.StringSliceVar(&w.pods, "pod", nil, "only drops of these pods: name or namespace/name")
	f.StringSliceVar(&w.policies, "policy", nil, "only drops that these policies denied: name or namespace/name")
	f.StringArrayVar(&w.reasons, "reason", nil, "only drops whose reason contains this text; may be given several times")
	f.DurationVar(&w.duration, "for", 0, "how long to watch, 0 for no end (default: no end, but 30m with --agent without a terminal)")
	f.Lookup("for").DefValue = "0s" // pflag prints no default then
	f.StringVar(&w.output, "output", "text", "text, or json: the lines of run --output json")
	f.BoolVar(&w.top, "top", false, "show a table of the busiest flows, drawn again every second")
	f.StringVar(&w.kubeconfig, "kubeconfig", "", "kubeconfig file, for the names of pods (default in a cluster: the pod's service account)")
	f.BoolVar(&w.reverseDNS, "reverse-dns", true, "ask DNS for the names of addresses outside the cluster, at a bounded rate")
	f.BoolVar(&w.agent, "agent", false, "follow the agent that runs on this host, with the groups and names that it has")
	f.StringVar(&w.address, "agent-address", "", "with --agent, its --listen address (default: tries 127.0.0.1:19090 and 127.0.0.1:9090)")
	f.SortFlags = false
}

// view returns a view for the flags. It reports every mistake at once.
func (w *watchOptions) view(out *watch.Output) (*watch.View, error) {
	if !w.agent && len(w.groups) == 0 {
		w.groups = []uint{100}
	}
	filter, err := w.filter()
	if err := errors.Join(err, w.validate()); err != nil {
		return nil, err
	}
	cfg := watch.Config{Filter: filter, Out: out, Notes: os.Stderr, Title: w.title()}
	switch {
	case w.output == outputJSON:
		cfg.Mode = watch.JSON
	case w.top:
		cfg.Mode = watch.Top
	}
	if cfg.Size = out.TerminalSize(); cfg.Size != nil {
		cfg.Colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return watch.New(cfg), nil
}

func (w *watchOptions) validate() error {
	var errs []error
	if w.output != "text" && w.output != outputJSON {
		errs = append(errs, fmt.Errorf("--output: %q is neither text nor json", w.output))
	}
	if w.top && w.output == outputJSON {
		errs = append(errs, errors.New("--top: goes with --output text"))
	}
	if w.duration < 0 {
		errs = append(errs, fmt.Errorf("--for: %v is negative", w.duration))
	}
	if w.address != "" && !w.agent {
		errs = append(errs, errors.New("--agent-address: goes with --agent"))
	}
	if w.agent && len(w.groups) > 0 {
		errs = append(errs, errors.New("--group: goes without --agent, which has groups of its own"))
	}
	if w.agent && w.kubeconfig != "" {
		errs = append(errs, errors.New("--kubeconfig: goes without --agent, which has names of its own"))
	}
	if !w.agent {
		errs = append(errs, w.agentOptions().validatePackets())
	}
	return errors.Join(errs...)
}

func (w *watchOptions) title() string {
	if w.agent {
		return "drops seen by the agent"
	}
	return "drops of NFLOG group " + strings.Trim(fmt.Sprint(w.groups), "[]")
}

func (w *watchOptions) filter() (watch.Filter, error) {
	var errs []error
	f := watch.Filter{
		Protocols: w.protocols, Prefixes: w.prefixes, Namespaces: w.namespaces, Pods: w.pods, Policies: w.policies, Reasons: w.reasons,
	}
	errs = append(errs, wrongNames("namespace", w.namespaces, 1), wrongNames("pod", w.pods, 2), wrongNames("policy", w.policies, 2))
	if slices.Contains(w.reasons, "") {
		errs = append(errs, errors.New("--reason: must not be empty"))
	}
	for _, p := range w.protocols {
		if !isProtocol(p) {
			errs = append(errs, fmt.Errorf("--protocol: %q is no protocol such as tcp, udp, icmp, icmpv6 or sctp", p))
		}
	}
	for _, p := range w.ports {
		if p > 65535 {
			errs = append(errs, fmt.Errorf("--port: %d is no port (0 to 65535)", p))
		}
		f.Ports = append(f.Ports, uint16(p))
	}
	for _, text := range w.nets {
		n, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil {
			n, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--net: %q is no network such as 10.0.0.0/16, nor an address", text))
		}
		f.Nets = append(f.Nets, n)
	}
	return f, errors.Join(errs...)
}

// wrongNames returns an error for each text that cannot be a name in Kubernetes, or
// that has more parts with slashes between.
func wrongNames(flag string, names []string, parts int) error {
	var errs []error
	for _, name := range names {
		split := strings.Split(name, "/")
		if len(split) > parts || slices.ContainsFunc(split, func(part string) bool { return len(validation.IsDNS1123Subdomain(part)) > 0 }) {
			errs = append(errs, fmt.Errorf("--%s: %q is no name of a %s", flag, name, flag))
		}
	}
	return errors.Join(errs...)
}

// isProtocol reports whether flows can have a protocol of that name.
func isProtocol(name string) bool {
	for number := range 256 {
		if strings.EqualFold(name, decode.Protocol(number).String()) {
			return true
		}
	}
	return false
}

// agentOptions returns the options of run for an agent that only prints JSON lines.
func (w *watchOptions) agentOptions() *options {
	var o options
	o.define(pflag.NewFlagSet("run", pflag.ContinueOnError)) // the defaults
	o.groups, o.prefixes, o.kubeconfig, o.reverseDNS = w.groups, w.prefixes, w.kubeconfig, w.reverseDNS
	o.events, o.listen = false, ""
	return &o
}

// openAgent opens an agent that only writes JSON lines.
func (w *watchOptions) openAgent(ctx context.Context, lines io.Writer) (run func(context.Context) error, err error) {
	cfg, err := w.agentOptions().agentConfig(newLogger(os.Stderr, "warn", "text"))
	if err != nil {
		return nil, err
	}
	cfg.Lines = lines
	a, err := agent.New(ctx, cfg)
	if err != nil {
		return nil, explainTaken(err)
	}
	return a.Run, nil
}

// explainTaken names the process that owns the group, and says what to do, if that
// is what went wrong.
func explainTaken(err error) error {
	group, owner := agent.Taken(err)
	if owner == nil {
		return asUsage(err)
	}
	return fmt.Errorf("NFLOG group %d belongs to %s, and a group has one reader: if that is the agent, follow it by watch --agent; "+
		"else log to another group as well and read that by --group", group, owner)
}
