//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/firewall"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Agent is the agent of one node. Its stages are here in the order in which a packet
// meets them.
type Agent struct {
	receivers  []*receiver // kernel → nflog → decode → flow, one for each group
	deliverers []*deliverer
	resolver   *resolve.Resolver
	explainer  *explain.Explainer
	limits     *firewall.Limits
	emitter    *event.Sink

	links   *nflog.Links // nil if the interfaces are not known
	server  *server      // nil without an address to listen on
	opening atomic.Bool  // the server answers already, and New still sets the fields above

	shutdownWithin time.Duration
	now            func() time.Time
	log            *slog.Logger
}

// New opens everything that can fail, so that a start that cannot work ends at once. The
// server comes first, because the rest may take longer than the kubelet waits for a
// probe. The stages follow in packet order.
func New(ctx context.Context, cfg Config) (_ *Agent, err error) {
	a := &Agent{shutdownWithin: cfg.ShutdownWithin, now: time.Now, log: cfg.Logger}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	m := newMetrics(cfg.Version)
	a.links = openLinks(cfg.Logger)
	followers, err := a.listen(ctx, &cfg, m)
	if err != nil {
		return nil, err
	}
	prefixes, err := dialect.NewParser(cfg.Dialect, cfg.PrefixPattern)
	if err != nil {
		return nil, ConfigError{fmt.Errorf("read prefixes: %w", err)}
	}

	// kernel → nflog → decode → flow
	if err := a.openReceivers(&cfg, prefixes, m); err != nil {
		return nil, err
	}

	// flow → resolve
	endpoints := cfg.Resolve
	endpoints.Logger, endpoints.Registerer = cfg.Logger, m.registry
	if a.resolver, err = resolve.New(endpoints, cfg.Kube.Core); err != nil {
		return nil, ConfigError{fmt.Errorf("resolve addresses: %w", err)}
	}

	// resolve → explain
	a.explainer, err = explain.New(explain.Config{
		NodeName: cfg.NodeName, Rules: prefixes, PartialPods: cfg.Resolve.Scope == resolve.NodeScope, NamespaceOnly: cfg.Events.NamespaceOnly,
		Registerer: m.registry, Logger: cfg.Logger,
	}, cfg.Kube.Core, cfg.Kube.Networking)
	if err != nil {
		return nil, err
	}
	countOnly := cfg.Kube.Core == nil && cfg.Lines == nil && !cfg.Metrics.Tailer
	if !countOnly { // nobody would read whether a count is exact
		a.limits = firewall.NewLimits(cfg.Groups, cfg.Logger)
	}

	// explain → emit
	counted, sinks, lines, err := a.newSinks(&cfg, followers, m)
	if err != nil {
		return nil, err
	}

	for _, r := range a.receivers {
		a.deliverers = append(a.deliverers, &deliverer{
			merger: dialect.NewMerger(prefixes), counts: m.merged(r.group),
			resolver: a.resolver, explainer: a.explainer, limits: a.limits,
			waiting: &waitingFlows{limit: max(1, maxWaiting/len(a.receivers)), metrics: m.waiting},
			sinks:   sinks, lines: lines, unwritten: m.unwritten, metrics: counted, countOnly: countOnly, followers: followers,
		})
	}
	a.opening.Store(false)
	return a, nil
}

// listen starts the server, if there is an address. The agent is not ready until opening
// is false.
func (a *Agent) listen(ctx context.Context, cfg *Config, m *metrics) (f *followers, err error) {
	if cfg.Listen == "" {
		return nil, nil //nolint:nilnil // without a server there are no followers
	}
	a.opening.Store(true)
	f = newFollowers(m.registry)
	a.server, err = listen(ctx, cfg.Listen, answers{
		metrics: m.registry, healthy: a.healthy, ready: a.ready,
		flows: &stream{followers: f, nodeName: cfg.NodeName, interfaceName: a.links.Name}, pprof: cfg.PProf,
	})
	return f, err
}

// openLinks lists the node's interfaces. Without them, interfaces have no names, and
// packets that leave a device are read only if they can be read in one way.
func openLinks(log *slog.Logger) *nflog.Links {
	links, err := nflog.OpenLinks()
	if err != nil {
		log.Warn("the node's interfaces are not known", "error", err)
		return nil
	}
	return links
}

// openReceivers makes a receiver for each group and binds the groups.
func (a *Agent) openReceivers(cfg *Config, prefixes *dialect.Parser, m *metrics) error {
	// No packet is folded before Run, and so the resolver exists when this is called.
	isLocal := func(addr netip.Addr) bool { return a.resolver.IsLocalPod(addr) }
	for _, group := range cfg.Groups {
		r := newReceiver(group, decode.Config{Prefixes: cfg.Prefixes, Ignore: prefixes.Allows},
			flow.Config{Window: cfg.FlowWindow, Local: isLocal}, a.links, m, a.log)
		if err := r.bind(cfg.AwaitGroups, a.log); err != nil {
			return err
		}
		a.receivers = append(a.receivers, r)
	}
	return nil
}

// newSinks makes everything that takes in flows. counted is the one of them that needs no
// names and no reasons. lines is nil without lines. It waits for whoever reads them.
func (a *Agent) newSinks(cfg *Config, f *followers, m *metrics) (counted emit.Sink, all []emit.Sink, lines emit.Sink, err error) {
	metrics, events, writes := cfg.Metrics, cfg.Events, cfg.Kube.Core
	metrics.Registerer = m.registry
	if counted, err = metric.New(metrics); err != nil {
		return nil, nil, nil, err
	}
	if !cfg.WriteEvents {
		writes = nil
	}
	events.Logger, events.Registerer = a.log, m.registry
	if a.emitter, err = event.New(events, writes); err != nil {
		return nil, nil, nil, ConfigError{fmt.Errorf("write events: %w", err)}
	}
	all = []emit.Sink{counted, a.emitter}
	if f != nil {
		all = append(all, f)
	}
	if cfg.Lines != nil {
		lines = jsonline.New(cfg.Lines, jsonline.Config{
			NodeName: cfg.NodeName, InterfaceName: a.links.Name, Unwritten: m.unwritten, Logger: a.log,
		})
	}
	return counted, all, lines, nil
}

// Run runs the stages until ctx ends. Then it ends them one after the other, in packet
// order, so that packets which the kernel has received by then are still reported. Each
// stage has its own time for that. A stage that does not end in time is left behind.
func (a *Agent) Run(ctx context.Context) error {
	defer a.close()
	deliverBy, receiveBy, writeBy, cancel := a.deadlines(ctx)
	defer cancel()
	helpers := a.startHelpers(ctx)
	writing := a.startWriting(ctx)

	receiving := a.startReceiving(ctx, deliverBy) // kernel → nflog → decode → flow
	a.waitForPods(ctx)                            // receiving goes on meanwhile
	delivering := a.startDelivering()             // flow → resolve → explain → emit

	err := endReceiving(receiveBy, receiving)
	if !endsBefore(deliverBy, delivering.Wait) {
		a.log.Warn("some flows were not handed on: is standard output read?")
		for _, d := range a.deliverers {
			d.releaseWaiting(nil)
		}
	}
	writing.stop(writeBy)
	if err := a.emitter.Flush(writeBy); err != nil {
		a.log.Warn("some events were not written", "error", err)
	}
	helpers.stop(writeBy)
	a.log.Info("stopped")
	return err
}

// startReceiving starts the receivers. They stop when ctx ends, and have until the
// deadline to hand on what they have.
func (a *Agent) startReceiving(ctx, deadline context.Context) *errgroup.Group {
	var receiving errgroup.Group
	for _, r := range a.receivers {
		context.AfterFunc(ctx, r.reader.Stop)
		receiving.Go(func() error { return r.run(deadline) })
		if r.reader.Err() == nil {
			a.log.Info("receiving packets", "group", r.group)
		}
	}
	return &receiving
}

// endReceiving waits until all receivers have ended, at most until the deadline.
func endReceiving(deadline context.Context, receiving *errgroup.Group) error {
	ended := make(chan error, 1)
	if !endsBefore(deadline, func() { ended <- receiving.Wait() }) {
		return errors.New("reading packets did not end in time, the last of them are not reported")
	}
	return <-ended
}

// startDelivering starts the deliverers. They end after their receivers.
func (a *Agent) startDelivering() *sync.WaitGroup {
	var delivering sync.WaitGroup
	for i, d := range a.deliverers {
		delivering.Go(func() { d.run(a.receivers[i].table.Windows()) })
	}
	return &delivering
}

// maxPolicyWait is how long flows wait for the list of policies at the start. A report
// without policies is better than none.
const maxPolicyWait = 10 * time.Second

// waitForPods waits until flows can be reported with names.
func (a *Agent) waitForPods(ctx context.Context) {
	if err := a.resolver.WaitSynced(ctx); err != nil {
		a.log.Warn("stopping before pods were known: flows are reported with bare addresses")
	}
	ctx, cancel := context.WithTimeout(ctx, maxPolicyWait)
	defer cancel()
	a.limits.Wait(ctx)
	if err := a.explainer.WaitSynced(ctx); err != nil && !errors.Is(err, context.Canceled) {
		a.log.Warn("NetworkPolicies are not known yet: flows are reported without them meanwhile", "error", err)
	}
}
