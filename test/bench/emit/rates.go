package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	ratesClients = 1000 // connections that share the rate
	ratesEach    = 15 * time.Second
)

// rates measures what the machine can take: it writes new events at fixed rates, at
// random moments as independent agents do, and measures the other client at each rate.
func rates(ctx context.Context, o options) error {
	rows := [][]string{{"new events per second", "written", "other client p50 / p99 / slowest", "CPUs busy"}}
	for _, perSecond := range []int{0, 100, 200, 300, 450, 600} {
		row, err := ratesOne(ctx, o, perSecond)
		if err != nil {
			return err
		}
		progress(row)
		rows = append(rows, row)
	}
	table(fmt.Sprintf("rates: new events from %d connections at random moments for %v, a fresh API server for each rate", ratesClients, ratesEach), rows...)
	return nil
}

func ratesOne(ctx context.Context, o options, perSecond int) ([]string, error) {
	c, err := startCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.close()
	clients := make([]rest.Interface, ratesClients)
	var count calls
	for i := range clients {
		if clients[i], err = agentClient(c, &count); err != nil {
			return nil, err
		}
		if err := clients[i].Get().AbsPath("/version").Do(ctx).Error(); err != nil { // opens the connection
			return nil, err
		}
	}
	other, err := startProber(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, 3*time.Second); err != nil {
		return nil, err
	}
	before, err := takeCPU()
	if err != nil {
		return nil, err
	}
	count.all.Store(0)
	began := time.Now()
	writeAt(ctx, clients, perSecond, began)
	ended := time.Now()
	after, err := takeCPU()
	if err != nil {
		return nil, err
	}
	requests, err := other.end()
	if err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprint(perSecond), fmt.Sprint(count.all.Load()), quantiles(between(requests, began, ended)), after.since(before, ended.Sub(began)),
	}, nil
}

// writeAt writes new events until ratesEach after began, even if earlier writes are not
// answered yet.
func writeAt(ctx context.Context, clients []rest.Interface, perSecond int, began time.Time) {
	var running sync.WaitGroup
	at := began
	for n := 0; ; n++ {
		gap := ratesEach
		if perSecond > 0 {
			gap = time.Duration(rand.ExpFloat64() * float64(time.Second) / float64(perSecond))
		}
		at = at.Add(gap)
		if at.After(began.Add(ratesEach)) {
			break
		}
		if sleep(ctx, time.Until(at)) != nil {
			break
		}
		running.Go(func() {
			if err := clients[n%len(clients)].Post().Namespace(namespace).Resource("events").Body(newEvent(n)).Do(ctx).Error(); err != nil {
				fmt.Println("write an event:", err)
			}
		})
	}
	_ = sleep(ctx, time.Until(began.Add(ratesEach)))
	running.Wait()
}

// newEvent returns an event like those that the emitter writes.
func newEvent(n int) *corev1.Event {
	f := fleetFlow(n, 0)
	now := metav1.NewTime(time.Now())
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("%s.kube-nflog.%016x", f.dst.Name, n),
			Annotations: map[string]string{"kube-nflog/writer": fmt.Sprintf("ABCDEFGHIJKLMNOPQRSTUVWXYZ-%d", n)},
		},
		InvolvedObject: *podRef(&f),
		Type:           corev1.EventTypeWarning, Reason: "PacketDrop", Message: f.message(), Count: 1,
		FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "kube-nflog", Host: fmt.Sprintf("n%d", n%ratesClients)},
	}
}
