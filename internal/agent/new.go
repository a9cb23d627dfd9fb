//go:build linux

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/internal/firewall"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// New opens everything that can fail, so that a start that will not work ends at
// once. It answers probes first, because all the rest may take longer than the
// kubelet waits.
func New(ctx context.Context, cfg Config) (_ *Agent, err error) {
	log := cfg.Logger
	a := &Agent{shutdownWithin: cfg.ShutdownWithin, now: time.Now, log: log}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	m := newMetrics(cfg.Version)
	follow, err := a.listen(ctx, &cfg, m)
	if err != nil {
		return nil, err
	}

	// flow → resolve
	endpoints := cfg.Resolve
	endpoints.Logger, endpoints.Registerer = log, m.registry
	if a.resolver, err = resolve.New(endpoints, cfg.Kube.Core); err != nil {
		return nil, ConfigError{fmt.Errorf("resolve addresses: %w", err)}
	}

	// resolve → explain
	rules, err := dialect.NewParser(cfg.Dialect, cfg.PrefixPattern)
	if err != nil {
		return nil, ConfigError{fmt.Errorf("read prefixes: %w", err)}
	}
	a.explainer, err = explain.New(explain.Config{
		NodeName: cfg.NodeName, Rules: rules, PartialPods: cfg.Resolve.Scope == resolve.NodeScope, NamespaceOnly: cfg.Events.NamespaceOnly,
		Registerer: m.registry, Logger: log,
	}, cfg.Kube.Core, cfg.Kube.Networking)
	if err != nil {
		return nil, err
	}

	// explain → emit
	a.links = openLinks(log)
	counts, sinks, err := a.newSinks(&cfg, follow, m)
	if err != nil {
		return nil, err
	}

	// Where flows are only counted by prefix, nobody reads whether a count is exact.
	nameless := cfg.Kube.Core == nil && cfg.Lines == nil && !cfg.Metrics.Tailer
	if !nameless {
		a.limits = firewall.NewLimits(cfg.Groups, log)
	}

	// kernel → nflog → decode → flow
	for _, group := range cfg.Groups {
		r, err := openReceiver(group, &cfg, rules, a.resolver.IsLocalPod, a.links, m, log)
		if err != nil {
			return nil, err
		}
		a.receivers = append(a.receivers, r)
		a.deliverers = append(a.deliverers, &deliverer{
			merger: dialect.NewMerger(rules), counts: m.merged(group),
			resolver: a.resolver, explainer: a.explainer, limits: a.limits, nameless: nameless,
			metrics: counts, sinks: sinks, follow: follow,
		})
	}

	a.opening.Store(false)
	return a, nil
}

// listen begins to answer on cfg.Listen, if there is one: the agent is not ready
// until opening is false.
func (a *Agent) listen(ctx context.Context, cfg *Config, m *metrics) (follow *followers, err error) {
	if cfg.Listen == "" {
		return nil, nil //nolint:nilnil // nobody follows: followers are nil then
	}
	a.opening.Store(true)
	follow = newFollowers(m.registry)
	a.server, err = listen(ctx, cfg.Listen, answers{
		metrics: m.registry, healthy: a.healthy, ready: a.ready,
		flows: &stream{followers: follow, nodeName: cfg.NodeName}, pprof: cfg.PProf,
	})
	return follow, err
}

// newSinks makes everything that takes in flows. counts is the one that can do
// with flows of which no more than the addresses is known.
func (a *Agent) newSinks(cfg *Config, follow *followers, m *metrics) (counts emit.Sink, all []emit.Sink, err error) {
	counted, events, writes := cfg.Metrics, cfg.Events, cfg.Kube.Core
	counted.Registerer = m.registry
	if counts, err = metric.New(counted); err != nil {
		return nil, nil, err
	}
	if !cfg.WriteEvents {
		writes = nil
	}
	events.Logger, events.Registerer = a.log, m.registry
	if a.emitter, err = event.New(events, writes); err != nil {
		return nil, nil, ConfigError{fmt.Errorf("write events: %w", err)}
	}
	all = []emit.Sink{counts, a.emitter}
	if follow != nil {
		all = append(all, follow)
	}
	if cfg.Lines == nil {
		return counts, all, nil
	}
	return counts, append(all, jsonline.New(cfg.Lines, jsonline.Config{
		NodeName: cfg.NodeName, InterfaceName: a.links.Name, Unwritten: m.unwritten, Logger: a.log,
	})), nil
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
