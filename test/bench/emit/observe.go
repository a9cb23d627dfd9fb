package main

import (
	"context"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// visible summarises the events of a set of flows in the API server.
type visible struct {
	objects int
	flows   int   // flows with an event that names them
	exact   int   // of these, with the right count
	sum     int64 // of all counts
}

func look(ctx context.Context, c *cluster, flows []oneFlow, truth int64) (visible, error) {
	list, err := c.Client().CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return visible{}, err
	}
	v := visible{objects: len(list.Items)}
	counts := map[string]int64{}
	for i := range list.Items {
		ev := &list.Items[i]
		n := countOf(ev)
		v.sum += n
		counts[ev.InvolvedObject.Name+": "+ev.Message] += n
	}
	for i := range flows {
		n, shown := counts[flows[i].id()]
		if shown {
			v.flows++
		}
		if n == truth {
			v.exact++
		}
	}
	return v, nil
}

func countOf(ev *corev1.Event) int64 {
	switch {
	case ev.Series != nil:
		return int64(ev.Series.Count)
	case ev.Count > 0:
		return int64(ev.Count)
	}
	return 1
}

// arrivals records when a watcher sees the first event of each flow.
type arrivals struct {
	mu   sync.Mutex
	seen map[string]time.Time
	stop func()
}

func watchArrivals(ctx context.Context, c *cluster) (*arrivals, error) {
	cfg := c.RESTConfig()
	cfg.ContentType = runtime.ContentTypeProtobuf // the cheapest encoding for the API server
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	w, err := client.CoreV1().Events(namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	a := &arrivals{seen: map[string]time.Time{}, stop: w.Stop}
	go func() {
		for change := range w.ResultChan() {
			ev, ok := change.Object.(*corev1.Event)
			if !ok {
				continue
			}
			a.mu.Lock()
			if id := ev.InvolvedObject.Name + ": " + ev.Message; a.seen[id].IsZero() {
				a.seen[id] = time.Now()
			}
			a.mu.Unlock()
		}
	}()
	return a, nil
}

// since returns the times from began to each event whose id matches, sorted.
func (a *arrivals) since(began time.Time, match func(id string) bool) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []time.Duration
	for id, at := range a.seen {
		if match(id) {
			all = append(all, at.Sub(began))
		}
	}
	slices.Sort(all)
	return all
}

func anyID(string) bool { return true }

// quantile returns the q-quantile of sorted durations, rounded, or "-" if there are none.
func quantile(sorted []time.Duration, q float64) string {
	if len(sorted) == 0 {
		return "-"
	}
	return round(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}

// quantiles returns the median, the 99th percentile and the maximum.
func quantiles(sorted []time.Duration) string {
	return quantile(sorted, 0.5) + " / " + quantile(sorted, 0.99) + " / " + quantile(sorted, 1)
}

func round(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }

// footprint is the number of goroutines and the heap of this process.
type footprint struct {
	goroutines int
	heap       uint64 // live bytes
}

func takeFootprint() footprint {
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return footprint{goroutines: goruntime.NumGoroutine(), heap: m.HeapAlloc}
}

func (f footprint) max(o footprint) footprint {
	return footprint{goroutines: max(f.goroutines, o.goroutines), heap: max(f.heap, o.heap)}
}

// mib returns a difference of bytes in MiB.
func mib(from, to uint64) string {
	return fmt.Sprintf("%+.1f MiB", (float64(to)-float64(from))/(1<<20))
}

// progress prints a row of the table as soon as it is known.
func progress(row []string) { fmt.Fprintln(os.Stderr, "measured:", strings.Join(row, "  ")) }

// table prints rows in columns.
func table(title string, rows ...[]string) {
	fmt.Printf("\n%s\n\n", title)
	widths := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			fmt.Fprintf(&b, "%-*s  ", widths[i], cell)
		}
		fmt.Println(strings.TrimRight(b.String(), " "))
	}
}
