package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kube-nflog/kube-nflog/resolve"
)

// measured is what one process measured of itself.
type measured struct {
	Pods        int     `json:"pods"`
	SyncSeconds float64 `json:"syncSeconds"`
	BytesPerPod float64 `json:"bytesPerPod"` // of live heap
	PeakMiB     float64 `json:"peakMiB"`     // resident, since the process started
	SyncedMiB   float64 `json:"syncedMiB"`   // resident, right after the sync
	RSSMiB      float64 `json:"rssMiB"`      // resident, after garbage was returned to the kernel
	LookupNs    float64 `json:"lookupNs"`    // of processor time
	Allocs      int64   `json:"allocsPerLookup"`
	ColdNs      float64 `json:"coldLookupNs"` // for addresses of the whole cluster
	MissNs      float64 `json:"missNs"`       // for an address that no pod has
	Lookups     float64 `json:"lookupsPerSecond"`
}

// lookup finds the pod of an address.
type lookup func(addr netip.Addr, at time.Time) bool

// measure fills a cache with start, which returns when the cache is synced, and looks up
// the addresses.
func measure(pods int, addrs []netip.Addr, start func() (lookup, error)) (measured, error) {
	before := liveHeap()
	began := time.Now()
	find, err := start()
	if err != nil {
		return measured{}, err
	}
	m := measured{Pods: pods, SyncSeconds: time.Since(began).Seconds()}
	status, err := procStatus()
	if err != nil {
		return measured{}, err
	}
	m.PeakMiB, m.SyncedMiB = status["VmHWM"], status["VmRSS"]
	m.BytesPerPod = float64(liveHeap()-before) / float64(max(pods, 1))
	debug.FreeOSMemory()
	if status, err = procStatus(); err != nil {
		return measured{}, err
	}
	m.RSSMiB = status["VmRSS"]
	err = m.lookups(addrs, find)
	return m, err
}

func (m *measured) lookups(addrs []netip.Addr, find lookup) error {
	at := time.Now()
	for _, addr := range addrs {
		if !find(addr, at) {
			return fmt.Errorf("no pod found at %v", addr)
		}
	}
	var err error
	if m.ColdNs, m.Allocs, err = cost(addrs, find, at); err != nil {
		return err
	}
	if m.LookupNs, _, err = cost(addrs[:min(len(addrs), atOnce)], find, at); err != nil {
		return err
	}
	m.Lookups = 1e9 / m.LookupNs
	m.MissNs, _, err = cost([]netip.Addr{netip.MustParseAddr("203.0.113.9")}, find, at)
	return err
}

// atOnce is the number of addresses in the drops of one node at a time. They fit into the
// processor's caches.
const atOnce = 1000

// cost returns the processor time of a look-up in nanoseconds, and its allocations.
// Processor time does not include other work of the machine.
func cost(addrs []netip.Addr, find lookup, at time.Time) (ns float64, allocs int64, err error) {
	const count = 4_000_000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, err := threadTime()
	if err != nil {
		return 0, 0, err
	}
	for i := range count {
		find(addrs[i%len(addrs)], at)
	}
	ended, err := threadTime()
	if err != nil {
		return 0, 0, err
	}
	runtime.ReadMemStats(&after)
	return float64(ended-began) / count, int64(after.Mallocs-before.Mallocs) / count, nil
}

// threadTime returns the processor time of this thread.
func threadTime() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// liveHeap returns the heap in use after garbage collection. Interned strings need a
// second collection.
func liveHeap() int64 {
	var s runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// procStatus returns this process's memory sizes in MiB.
func procStatus() (map[string]float64, error) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("read memory use: %w", err)
	}
	defer func() { _ = f.Close() }()
	sizes := map[string]float64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64); err == nil {
			sizes[name] = kib / 1024
		}
	}
	return sizes, nil
}

// shuffled returns n addresses of the cluster's pods that keep selects, in random order,
// as in packets.
func shuffled(c cluster, n int, keep func(i int) bool) []netip.Addr {
	rng := rand.New(rand.NewPCG(1, 2))
	var addrs []netip.Addr
	for _, i := range rng.Perm(c.pods) {
		if keep(i) && len(addrs) < n {
			addrs = append(addrs, address(i))
		}
	}
	return addrs
}

// startResolver syncs a Resolver.
func startResolver(ctx context.Context, cfg resolve.Config, client rest.Interface) (lookup, error) {
	r, err := resolve.New(cfg, client)
	if err != nil {
		return nil, err
	}
	go func() { _ = r.Run(ctx) }()
	if err := r.WaitSynced(ctx); err != nil {
		return nil, err
	}
	return func(addr netip.Addr, at time.Time) bool {
		e := r.Lookup(addr, at)
		return e.Kind == resolve.Pod
	}, nil
}

// startPlain syncs an ordinary informer: it keeps whole objects and has an index by
// address.
func startPlain(ctx context.Context, client rest.Interface) (lookup, error) {
	const byAddress = "address"
	lw := cache.NewListWatchFromClient(client, "pods", corev1.NamespaceAll, fields.Everything())
	informer := cache.NewSharedIndexInformer(lw, &corev1.Pod{}, 0, cache.Indexers{byAddress: func(obj any) ([]string, error) {
		p, ok := obj.(*corev1.Pod)
		if !ok {
			return nil, fmt.Errorf("unexpected %T", obj)
		}
		return []string{p.Status.PodIP}, nil
	}})
	go informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, errors.New("the plain informer did not sync")
	}
	return func(addr netip.Addr, _ time.Time) bool {
		found, err := informer.GetIndexer().ByIndex(byAddress, addr.String())
		return err == nil && len(found) > 0
	}, nil
}
