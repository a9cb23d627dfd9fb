//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/internal/firewall"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// newAgent opens everything that can fail, so that a start that will not work
// ends at once. It answers probes first, because all the rest may take longer
// than the kubelet waits.
func newAgent(ctx context.Context, o *options, stdout io.Writer, log *slog.Logger) (_ *agent, err error) {
	a := &agent{shutdownWithin: o.shutdownWithin, now: time.Now, log: log}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	m := newMetrics()
	follow, err := a.listen(ctx, o, m)
	if err != nil {
		return nil, err
	}
	kube, err := kubeClients(o)
	if err != nil {
		return nil, err
	}

	// flow → resolve
	endpoints := o.resolveConfig()
	endpoints.Logger, endpoints.Registerer = log, m.registry
	if a.resolver, err = resolve.New(endpoints, kube.core); err != nil {
		return nil, usageError{fmt.Errorf("resolve addresses: %w", err)}
	}

	// resolve → explain
	rules, err := dialect.NewParser(dialect.Dialect(o.dialect), o.pattern)
	if err != nil {
		return nil, usageError{fmt.Errorf("read prefixes: %w", err)}
	}
	a.explainer, err = explain.New(explain.Config{
		NodeName: o.nodeName, Rules: rules, PartialPods: o.podScope == scopeNode, NamespaceOnly: o.namespaceOnly(), Registerer: m.registry, Logger: log,
	}, kube.core, kube.networking)
	if err != nil {
		return nil, err
	}

	// explain → emit
	counts, err := metric.New(metric.Config{NodeName: o.nodeName, Tailer: o.tailerMetric, Registerer: m.registry})
	if err != nil {
		return nil, err
	}
	writes := kube.core
	if !o.events {
		writes = nil
	}
	events := o.emitConfig()
	events.Logger, events.Registerer = log, m.registry
	if a.emitter, err = event.New(events, writes); err != nil {
		return nil, usageError{fmt.Errorf("write events: %w", err)}
	}
	lines, err := a.newLines(o, stdout)
	if err != nil {
		return nil, err
	}

	// Where flows are only counted by prefix, nobody reads whether a count is exact.
	nameless := kube.core == nil && o.output == outputNone && !o.tailerMetric
	if !nameless {
		a.limits = firewall.NewLimits(o.groups, log)
	}

	// kernel → nflog → decode → flow
	for _, group := range o.groups {
		r, err := openReceiver(uint16(group), o, rules, a.resolver.IsLocalPod, m, log)
		if err != nil {
			return nil, err
		}
		a.receivers = append(a.receivers, r)
		a.deliverers = append(a.deliverers, &deliverer{
			merger: dialect.NewMerger(rules), counts: m.merged(uint16(group)),
			resolver: a.resolver, explainer: a.explainer, limits: a.limits, nameless: nameless,
			metrics: counts, emitter: a.emitter, follow: follow, lines: lines(), unwritten: m.unwritten, log: log,
		})
	}

	a.opening.Store(false)
	return a, nil
}

// listen begins to answer on --listen, if there is one: the agent is not ready
// until opening is false.
func (a *agent) listen(ctx context.Context, o *options, m *metrics) (follow *followers, err error) {
	if o.listen == "" {
		return nil, nil //nolint:nilnil // nobody follows: followers are nil then
	}
	a.opening.Store(true)
	follow = newFollowers(m.registry)
	a.server, err = listen(ctx, o.listen, answers{
		metrics: m.registry, healthy: a.healthy, ready: a.ready,
		flows: &stream{followers: follow, nodeName: o.nodeName}, pprof: o.pprof,
	})
	return follow, err
}

// newLines returns what makes a deliverer's JSON writer, nil if none is wanted.
func (a *agent) newLines(o *options, stdout io.Writer) (func() *jsonline.Writer, error) {
	if o.output != outputJSON {
		return func() *jsonline.Writer { return nil }, nil
	}
	links, err := nflog.OpenLinks()
	if err != nil {
		return nil, fmt.Errorf("read the interfaces' names: %w", err)
	}
	a.links = links
	shared := &lockedWriter{w: stdout}
	return func() *jsonline.Writer { return jsonline.New(shared, o.nodeName, links.Name) }, nil
}
