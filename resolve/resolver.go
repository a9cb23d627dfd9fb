// Package resolve finds out who had an address at a time. Addresses and packet
// times go in. Endpoints come out: a pod, a node, a service, an external host
// with its reverse DNS name, or nothing.
//
// Run watches pods, nodes and services in the API server. Lookup answers from
// memory and never waits. If it does not know an address, it may start a look-up
// in the background. Every method may be called concurrently; Run only once.
//
// An answer names a pod only if no other pod can have had the address at that
// time, as far as the API server has reported. See ipHistory.find for the rules.
package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Resolver resolves addresses. Make one with New.
type Resolver struct {
	cfg        Config
	history    *ipHistory
	nodes      *addressIndex
	services   *addressIndex
	namespaces namespaces
	ranges     *podRanges
	peers      *lookupCache[peer]   // nil if not asked
	names      *lookupCache[string] // nil if not asked
	notPods    *negativeCache
	informers  []*Informer // the first is that of pods
	prober     *prober     // nil without informers
	clock      *clock
	metrics    *metrics

	proof sync.Once     // guards the closing of ...
	first chan struct{} // ... this, when the watch of pods was proven first
	ready chan struct{} // closed when Synced becomes true
}

// New makes a Resolver that reads the cluster through client, a client of the
// core/v1 group. Without a client (nil) every address is external. It fails on
// a Config that contradicts itself and on metrics registered twice.
func New(cfg Config, client rest.Interface) (*Resolver, error) {
	cfg.complete()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	r := &Resolver{
		cfg:      cfg,
		nodes:    newAddressIndex(),
		services: newAddressIndex(),
		notPods:  newNegativeCache(),
		first:    make(chan struct{}),
		ready:    make(chan struct{}),
	}
	r.ranges = newPodRanges(cfg.Scope, r.nodes.gives)
	r.clock = newClock(cfg.Now, cfg.Skew/4, r.stepped)
	r.history = newHistory(cfg.Skew, cfg.Keep, cfg.NodeName, r.watchesAll, r.clock.wall)
	r.history.calico = r.mayAnnounce
	var err error
	if r.metrics, err = newMetrics(cfg.Registerer, r); err != nil {
		return nil, fmt.Errorf("resolve: register metrics: %w", err)
	}
	if cfg.DNS != nil {
		r.names = newNames(&cfg, r.metrics, r.clock.steady)
	}
	if client == nil {
		close(r.ready)
		return r, nil
	}
	if cfg.PeerLookup {
		r.peers = r.newPeers(client)
	}
	if err := r.addInformers(client); err != nil {
		return nil, err
	}
	return r, nil
}

// stepped handles a step of the wall clock. It forgets what was recorded in times of
// the old clock.
func (r *Resolver) stepped(now, before, by int64) {
	r.cfg.Logger.Warn("the clock was set: drops from before are not attributed to pods", "by", time.Duration(by))
	r.history.stepped(now, before, by)
	if r.peers != nil {
		r.peers.forget()
	}
}

func (r *Resolver) newPeers(client rest.Interface) *lookupCache[peer] {
	return newPeers(&r.cfg, peers{
		client: client,
		strip:  r.cfg.pod,
		now:    r.clock.wall,
		log:    r.cfg.Logger,
		count:  func(result string) { r.metrics.peers.WithLabelValues(result).Inc() },
	}, r.metrics, r.clock.steady)
}

func (r *Resolver) addInformers(client rest.Interface) error {
	sources := r.sources()
	for i := range sources {
		s := &sources[i]
		s.Client, s.Failed = client, r.metrics.watchErrors.WithLabelValues(s.Resource).Inc
		f, err := NewInformer(*s, r.cfg.Logger)
		if err != nil {
			return fmt.Errorf("resolve: %w", err)
		}
		r.informers = append(r.informers, f)
	}
	r.prober = &prober{
		client: client, history: r.history, skew: r.cfg.Skew, log: r.cfg.Logger,
		starting: func() bool { return !closed(r.first) },
		proved:   func() { r.proof.Do(func() { close(r.first) }) },
		now:      r.now,
		count:    func(result string) { r.metrics.probes.WithLabelValues(result).Inc() },
		pending:  make(chan struct{}, 1),
	}
	return nil
}

// sources are the watched resources. In node scope they are only this node's pods and
// this node. Otherwise the API server of a large cluster would have to send everything
// to every node.
func (r *Resolver) sources() []Source {
	const names = "their names"
	pods := Source{
		Resource: "pods", Object: &corev1.Pod{}, Transform: stripped(r.stripPod, r.cutIn("pods")), Handler: r.podHandler(),
		follow: watching{r},
	}
	nodes := Source{Resource: "nodes", Object: &corev1.Node{}, Transform: stripped(nodeEntry, r.cutIn("nodes")), Handler: indexHandler(r.nodes), Without: names}
	if r.cfg.Scope == NodeScope {
		pods.Fields = "spec.nodeName=" + r.cfg.NodeName
		nodes.Fields = "metadata.name=" + r.cfg.NodeName
	}
	all := []Source{pods, nodes}
	if !r.cfg.NoServices {
		all = append(all, Source{
			Resource: "services", Object: &corev1.Service{}, Transform: stripped(serviceEntry, r.cutIn("services")), Handler: indexHandler(r.services), Without: names,
		})
	}
	if r.cfg.NamespaceEvents {
		all = append(all, Source{
			Resource: "namespaces", Object: &corev1.Namespace{}, Transform: stripped(newNamespace, r.cutIn("namespaces")), Handler: r.namespaces.handler(),
			Without: "what they say of events",
		})
	}
	return all
}

// watchesAll reports whether every pod that can have addr is watched. In node scope this is
// so only for addresses of this node's own pod network.
func (r *Resolver) watchesAll(addr netip.Addr) bool {
	return r.cfg.Scope == ClusterScope || r.nodes.gives(addr)
}

// cutIn returns the counter of lists of a resource that were too long.
func (r *Resolver) cutIn(resource string) func(list string) {
	return func(list string) { r.metrics.truncated.WithLabelValues(resource, list).Inc() }
}

func (r *Resolver) stripPod(o *corev1.Pod) *pod {
	return r.history.same(r.cfg.pod(o))
}

func (r *Resolver) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.set(nil, obj) },
		UpdateFunc: r.set,
		DeleteFunc: func(obj any) {
			last, unseen := obj.(cache.DeletedFinalStateUnknown)
			if unseen {
				obj = last.Obj
			}
			if p, ok := obj.(*pod); ok {
				r.history.remove(p, r.now(), unseen)
			}
		},
	}
}

// set records a pod that is new or has changed.
func (r *Resolver) set(old, obj any) {
	before, _ := old.(*pod)
	p, ok := obj.(*pod)
	if !ok {
		return
	}
	for _, addr := range r.history.set(before, p, r.now()) {
		if !p.announces {
			r.ranges.learn(addr)
		}
	}
}

func indexHandler(s *addressIndex) cache.ResourceEventHandler {
	take := func(old, obj any) {
		if last, unseen := old.(cache.DeletedFinalStateUnknown); unseen {
			old = last.Obj
		}
		before, _ := old.(*indexEntry)
		now, _ := obj.(*indexEntry)
		s.replace(before, now)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { take(nil, obj) },
		UpdateFunc: take,
		DeleteFunc: func(obj any) { take(obj, nil) },
	}
}

// Run watches the cluster until ctx ends. It returns when everything that it started
// has ended. Its error is always nil, because it repeats what fails.
func (r *Resolver) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, f := range r.informers {
		group.Go(func() { f.Run(ctx) })
	}
	if len(r.informers) > 0 {
		group.Go(func() { r.prober.run(ctx) })
		group.Go(func() { r.start(ctx) })
	}
	if r.names != nil {
		group.Go(func() { r.names.run(ctx) })
	}
	if r.peers != nil {
		group.Go(func() { r.peers.run(ctx) })
	}
	group.Wait()
	return nil
}

// othersWithin is how long the start waits, after pods are known, for the other
// resources and for the first proof that the watch of pods works.
const othersWithin = 10 * time.Second

// start makes Synced true. It waits for pods without a limit, and for the other
// resources for a bounded time: an event without a Service's name is better than no
// event. Lists that come later are used from then on.
func (r *Resolver) start(ctx context.Context) {
	pods, others := r.informers[0], r.informers[1:]
	if pods.WaitSynced(ctx) != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, othersWithin)
	defer cancel()
	for _, f := range others {
		if err := f.WaitSynced(limited); err != nil && ctx.Err() == nil {
			r.cfg.Logger.Warn("a list is late: going on without it meanwhile",
				"resource", f.Resource, "without", f.Without, "waited", othersWithin)
		}
	}
	select {
	case <-r.first:
	case <-limited.Done():
	}
	if ctx.Err() != nil {
		return
	}
	close(r.ready)
	// The first lists took twice the memory that is kept of them. The runtime itself
	// would return it only much later.
	debug.FreeOSMemory()
}

// Synced reports whether all pods of the start are known, and the nodes, services and
// namespaces too, unless the API server forbids them or does not list them in time.
// Before that, every answer is Unknown.
func (r *Resolver) Synced() bool { return closed(r.ready) }

// WaitSynced waits until Synced is true, which needs Run. Its error wraps ctx's.
func (r *Resolver) WaitSynced(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("resolve: wait for the list of pods: %w", ctx.Err())
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// now is the wall clock in Unix nanoseconds.
func (r *Resolver) now() int64 { return r.clock.now() }
