//go:build linux

package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/internal/agent"
	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// options are the values of run's flags and environment variables.
type options struct {
	groups   []uint
	prefixes []string
	dialect  string
	pattern  string

	flowWindow time.Duration

	nodeName      string
	kubeconfig    string
	apiServer     string
	podScope      string
	peerLookup    bool
	services      bool
	reverseDNS    bool
	podIdentifier string
	podIdentLabel string
	explain       bool

	events            bool
	eventReason       string
	eventSource       string
	eventMessage      string
	eventNamespaces   []string
	excludeNamespaces []string
	nodeEvents        bool
	podEvents         int
	eventQPS          float64
	eventBurst        int
	podEventQPS       float64
	podEventBurst     int

	output         string
	listen         string
	pprof          bool
	tailerMetric   bool
	logLevel       string
	logFormat      string
	shutdownWithin time.Duration

	fromVariable map[string]string // the variable that set a flag, by the flag's name
	ignored      []string          // variables that are service links and no settings
}

// The values of --output.
const (
	outputNone = "none"
	outputJSON = "json"
)

// The values of --pod-scope.
const (
	scopeCluster = "cluster"
	scopeNode    = "node"
)

// define adds a flag for each option, and sets the options to the defaults.
func (o *options) define(f *pflag.FlagSet) {
	o.definePackets(f)
	o.defineEndpoints(f)
	o.defineEvents(f)
	o.defineOutput(f)
}

func (o *options) definePackets(f *pflag.FlagSet) {
	f.UintSliceVar(&o.groups, "group", []uint{100}, "NFLOG group to read; may be given several times")
	f.Lookup("group").DefValue = "100" // not [100]
	f.StringArrayVar(&o.prefixes, "prefix", nil, "only packets whose NFLOG prefix starts with this; may be given several times (default all)")
	f.StringVar(&o.dialect, "dialect", string(dialect.Auto), "the program that wrote the rules, which decides how prefixes are read: "+strings.Join(dialect.Names(), ", "))
	f.StringVar(&o.pattern, "prefix-pattern", "", "regular expression for the prefixes of your own rules, with groups named policy and verdict: (?P<policy>…)")
	f.DurationVar(&o.flowWindow, "flow-window", time.Second, "how long packets of a flow are counted together, 100ms to 1m; a new flow is reported sooner")
}

func (o *options) defineEndpoints(f *pflag.FlagSet) {
	hostname, _ := os.Hostname() // without one, validate asks for --node-name
	f.StringVar(&o.nodeName, "node-name", strings.ToLower(hostname), "this node's name in Kubernetes")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default in a cluster: the pod's service account)")
	f.StringVar(&o.apiServer, "kube-api-server", "", "URL of the API server, instead of the kubeconfig's or the cluster's own")
	f.StringVar(&o.podScope, "pod-scope", scopeCluster, "which pods to know: cluster, or node for only this node's pods, in very large clusters")
	f.BoolVar(&o.peerLookup, "peer-lookup", false, "with --pod-scope node, ask the API server for the pods of other nodes, at a bounded rate")
	f.BoolVar(&o.explain, "explain", true, "say which NetworkPolicies deny a flow; needs list and watch on them and on namespaces")
	f.BoolVar(&o.services, "services", true, "find Services by their addresses")
	f.BoolVar(&o.reverseDNS, "reverse-dns", true, "ask DNS for the names of addresses outside the cluster, at a bounded rate")
	f.StringVar(&o.podIdentifier, "pod-identifier", "name_with_namespace",
		"how events name the other pod: "+strings.Join(podIdentifiers(), ", ")+"; namespace hides the names of other namespaces")
	f.StringVar(&o.podIdentLabel, "pod-identifier-label", "", "key of the label for --pod-identifier label")
}

func (o *options) defineEvents(f *pflag.FlagSet) {
	f.BoolVar(&o.events, "events", true, "write Kubernetes events")
	f.StringVar(&o.eventReason, "event-reason", "PacketDrop", "reason of the events")
	f.StringVar(&o.eventSource, "event-source", "kube-nflog", "source component of the events")
	f.StringVar(&o.eventMessage, "event-message", "", "Go template of the events' text (default the built-in sentence)")
	f.StringSliceVar(&o.eventNamespaces, "event-namespaces", nil, "write events only for pods of these namespaces (default all)")
	f.StringSliceVar(&o.excludeNamespaces, "exclude-namespaces", nil, "write no events for pods of these namespaces")
	f.BoolVar(&o.nodeEvents, "node-events", false, "write events on the Node for drops with no pod on either side")
	f.IntVar(&o.podEvents, "pod-events", 20, "event objects for one pod in an hour; further flows share one for each direction")
	f.Float64Var(&o.eventQPS, "event-qps", 50, "event writes per second, this node")
	f.IntVar(&o.eventBurst, "event-burst", 100, "event writes at once, this node")
	f.Float64Var(&o.podEventQPS, "pod-event-qps", 0.5, "event writes per second about one pod")
	f.IntVar(&o.podEventBurst, "pod-event-burst", 25, "event writes at once about one pod")
}

func (o *options) defineOutput(f *pflag.FlagSet) {
	f.StringVar(&o.output, "output", outputNone, "none, or json: one line per flow and window on standard output")
	f.StringVar(&o.listen, "listen", ":9090", "address of /metrics, /healthz, /readyz and, only for this host, /flows; empty for none")
	f.BoolVar(&o.pprof, "pprof", false, "answer /debug/pprof on --listen, only for this host")
	f.BoolVar(&o.tailerMetric, "tailer-metric", false, "count drops also as kube-iptables-tailer did: packet_drops_count{src,dst}")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.DurationVar(&o.shutdownWithin, "shutdown-within", 10*time.Second, "how long the agent may take to write pending events after SIGTERM")
}

// namespaceOnly reports whether events hide the names of other namespaces from
// their readers.
func (o *options) namespaceOnly() bool { return o.podIdentifier == "namespace" }

// podIdentifiers are the values of --pod-identifier, in the order of
// resolve.IdentifierKind.
func podIdentifiers() []string {
	return []string{"name_with_namespace", "name", "namespace", "label", "workload"}
}

// agentConfig returns the configuration of the agent, without its output.
func (o *options) agentConfig(log *slog.Logger) (agent.Config, error) {
	clients, err := o.clients()
	return agent.Config{
		NodeName: o.nodeName, Groups: uint16s(o.groups), Prefixes: o.prefixes, FlowWindow: o.flowWindow,
		Dialect: dialect.Dialect(o.dialect), PrefixPattern: o.pattern,
		Kube: clients, Resolve: o.resolveConfig(), Events: o.emitConfig(), Metrics: metric.Config{NodeName: o.nodeName, Tailer: o.tailerMetric}, WriteEvents: o.events,
		Listen: o.listen, PProf: o.pprof, ShutdownWithin: o.shutdownWithin, Version: version, Logger: log,
	}, err
}

// clients returns the clients of the API server. Without a cluster, --events is an
// error.
func (o *options) clients() (kube.Clients, error) {
	cfg, err := kubeConfig(o.kubeconfig, o.apiServer).ForAgent()
	if err == nil && cfg == nil && o.events {
		err = usageError{errors.New("events need a cluster: give --kubeconfig, or turn them off by --events=false")}
	}
	if err != nil {
		return kube.Clients{}, err
	}
	clients, err := kube.NewClients(cfg)
	if !o.explain {
		clients.Networking = nil
	}
	return clients, err
}

func (o *options) resolveConfig() resolve.Config {
	c := resolve.Config{
		NodeName:        o.nodeName,
		PeerLookup:      o.peerLookup,
		NoServices:      !o.services,
		PodLabels:       o.explain,
		NamespaceEvents: o.events,
		Identifier:      resolve.IdentifierKind(slices.Index(podIdentifiers(), o.podIdentifier)),
		IdentifierLabel: o.podIdentLabel,
	}
	if o.podScope == scopeNode {
		c.Scope = resolve.NodeScope
	}
	if o.reverseDNS {
		c.DNS = net.DefaultResolver
	}
	return c
}

func (o *options) emitConfig() event.Config {
	c := event.Config{
		NodeName: o.nodeName, Reason: o.eventReason, Component: o.eventSource, Message: o.eventMessage,
		Namespaces: o.eventNamespaces, ExcludeNamespaces: o.excludeNamespaces, NodeEvents: o.nodeEvents,
		ObjectsPerPod: o.podEvents, QPS: o.eventQPS, Burst: o.eventBurst, PodQPS: o.podEventQPS, PodBurst: o.podEventBurst,
		NamespaceOnly: o.namespaceOnly(),
	}
	if len(o.prefixes) == 1 {
		c.DefaultPrefix = o.prefixes[0] // with one prefix, events need not repeat it
	}
	return c
}
