// Package resolve tells who had an address at a time. Addresses and packet
// times go in, Endpoints come out: a pod, a node, a service, an external host
// by its reverse DNS name, or nothing.
//
// It learns of pods, nodes and services from watches of the API server, which
// Run keeps going. Lookup answers from memory and never waits; what it does
// not know and may learn, it has asked for. Every method may be called
// concurrently; Run once.
//
// An answer names a pod only if no other can have had the address at the
// time, as far as the API server has told: see owners.find for the rules.
package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Resolver resolves addresses. Make one with New.
type Resolver struct {
	cfg        Config
	owners     *owners
	nodes      *places
	services   *places
	namespaces namespaces
	pools      *pools
	peers      *asker[peer]   // nil if not asked
	names      *asker[string] // nil if not asked
	waits      *waits
	notPods    *notPods
	feeds      []*Feed
	metrics    *metrics
	synced     atomic.Bool // Synced was true once, and so is
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
		nodes:    newPlaces(),
		services: newPlaces(),
		pools:    newPools(cfg.Scope),
		notPods:  newNotPods(),
	}
	r.owners = newOwners(cfg.Skew, cfg.Keep, cfg.NodeName, r.watchesAll, r.now)
	r.owners.calico = r.mayAnnounce
	var err error
	if r.metrics, err = newMetrics(cfg.Registerer, r); err != nil {
		return nil, fmt.Errorf("resolve: register metrics: %w", err)
	}
	r.waits = newWaits(cfg.MaxWaiting, r.now, func(result string) { r.metrics.waits.WithLabelValues(result).Inc() })
	if cfg.DNS != nil {
		r.names = newNames(&cfg, r.metrics, r.now)
	}
	if client == nil {
		return r, nil
	}
	if cfg.PeerLookup {
		r.peers = r.newPeers(client)
	}
	if err := r.addFeeds(client); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Resolver) newPeers(client rest.Interface) *asker[peer] {
	return newPeers(&r.cfg, peers{
		client: client,
		strip:  r.cfg.pod,
		now:    r.now,
		log:    r.cfg.Logger,
		count:  func(result string) { r.metrics.peers.WithLabelValues(result).Inc() },
	}, r.metrics, r.waits.wake)
}

func (r *Resolver) addFeeds(client rest.Interface) error {
	sources := r.sources()
	for i := range sources {
		s := &sources[i]
		s.Client, s.Failed = client, r.metrics.watchErrors.WithLabelValues(s.Resource).Inc
		f, err := NewFeed(*s, r.cfg.Logger)
		if err != nil {
			return fmt.Errorf("resolve: %w", err)
		}
		r.feeds = append(r.feeds, f)
	}
	return nil
}

// sources are the watched resources. In node scope they are this node's pods
// and this node alone: a large cluster's API server has to send everything
// else to every node.
func (r *Resolver) sources() []Source {
	const names = "their names"
	pods := Source{
		Resource: "pods", Object: &corev1.Pod{}, Strip: stripped(r.stripPod, r.cutIn("pods")), Handler: r.podHandler(),
		Listing:  func() { r.owners.listing(r.now()) },
		Watching: func() { r.owners.watching(r.now()) },
	}
	nodes := Source{Resource: "nodes", Object: &corev1.Node{}, Strip: stripped(nodePlace, r.cutIn("nodes")), Handler: placeHandler(r.nodes), Without: names}
	if r.cfg.Scope == NodeScope {
		pods.Fields = "spec.nodeName=" + r.cfg.NodeName
		nodes.Fields = "metadata.name=" + r.cfg.NodeName
	}
	all := []Source{pods, nodes}
	if !r.cfg.NoServices {
		all = append(all, Source{
			Resource: "services", Object: &corev1.Service{}, Strip: stripped(servicePlace, r.cutIn("services")), Handler: placeHandler(r.services), Without: names,
		})
	}
	if r.cfg.NamespaceEvents {
		all = append(all, Source{
			Resource: "namespaces", Object: &corev1.Namespace{}, Strip: stripped(newNamespace, r.cutIn("namespaces")), Handler: r.namespaces.handler(),
			Without: "what they say of events",
		})
	}
	return all
}

// watchesAll says whether every pod that can have addr is watched: in node scope
// only those with addresses of this node's own pod network are.
func (r *Resolver) watchesAll(addr netip.Addr) bool {
	return r.cfg.Scope == ClusterScope || r.nodes.gives(addr)
}

// cutIn returns what counts the lists of a resource that were too long.
func (r *Resolver) cutIn(resource string) func(list string) {
	return func(list string) { r.metrics.truncated.WithLabelValues(resource, list).Inc() }
}

func (r *Resolver) stripPod(o *corev1.Pod) *pod {
	return r.owners.same(r.cfg.pod(o))
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
				r.owners.remove(p, r.now(), unseen)
			}
		},
	}
}

// set takes in a pod that is new or has changed.
func (r *Resolver) set(old, obj any) {
	before, _ := old.(*pod)
	p, ok := obj.(*pod)
	if !ok {
		return
	}
	for _, addr := range r.owners.set(before, p, r.now()) {
		if !p.announces {
			r.pools.learn(addr)
		}
		r.waits.wake(addr)
	}
}

func placeHandler(s *places) cache.ResourceEventHandler {
	take := func(old, obj any) {
		if last, unseen := old.(cache.DeletedFinalStateUnknown); unseen {
			old = last.Obj
		}
		before, _ := old.(*place)
		now, _ := obj.(*place)
		s.replace(before, now)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { take(nil, obj) },
		UpdateFunc: take,
		DeleteFunc: func(obj any) { take(obj, nil) },
	}
}

// Run keeps what is known up to date until ctx ends, and returns after all it
// started has ended. Its error is always nil: what fails is tried again.
func (r *Resolver) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, f := range r.feeds {
		group.Go(func() { f.Run(ctx) })
	}
	group.Go(func() { r.tidy(ctx) })
	group.Go(func() { r.waits.run(ctx) })
	if r.names != nil {
		group.Go(func() { r.names.run(ctx) })
	}
	if r.peers != nil {
		group.Go(func() { r.peers.run(ctx) })
	}
	group.Wait()
	return nil
}

// tidy gives the memory back that the first lists took beyond what is kept of
// them, which is as much again. By itself the runtime would hold it for long.
func (r *Resolver) tidy(ctx context.Context) {
	if r.WaitSynced(ctx) == nil && len(r.feeds) > 0 {
		debug.FreeOSMemory()
	}
}

// Synced says whether all pods, nodes, services and namespaces that there were
// at the start are known. What the API server forbids, pods excepted, counts as
// known. Before, every answer is Unknown.
func (r *Resolver) Synced() bool {
	if r.synced.Load() {
		return true
	}
	for _, f := range r.feeds {
		if !f.Synced() {
			return false
		}
	}
	r.synced.Store(true)
	return true
}

// WaitSynced waits until Synced is true. Its error wraps ctx's.
func (r *Resolver) WaitSynced(ctx context.Context) error {
	for _, f := range r.feeds {
		if err := f.WaitSynced(ctx); err != nil {
			return fmt.Errorf("resolve: %w", err)
		}
	}
	return nil
}

// now is the clock in Unix nanoseconds.
func (r *Resolver) now() int64 { return r.cfg.Now().UnixNano() }
