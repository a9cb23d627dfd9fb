package resolve

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// probeSlack is added to the skew for the time between two probes. A flow waits at most
	// this long for a watch that works.
	probeSlack = time.Second
	// probeAgain is the time until a failed probe is repeated.
	probeAgain = time.Second
	// probeSettle is the time after the answer when the proof counts. What the watch sent
	// before may arrive a moment later.
	probeSettle = 50 * time.Millisecond
)

// prober checks that a silent watch works. A watch is silent if nothing changes, and also
// if the API server or the network hangs. A request shows the difference: the API server
// answers it from the cache that feeds the watch, once that cache is as new as etcd.
//
// It sends a request only while a flow waits for the answer, and at most once in skew +
// probeSlack.
type prober struct {
	client   rest.Interface
	history  *ipHistory
	starting func() bool // reports whether the watch was never proven
	proved   func()
	now      func() int64 // the wall clock
	skew     time.Duration
	count    func(result string)
	log      *slog.Logger

	wanted  atomic.Bool   // a look-up found that the watch is silent
	pending chan struct{} // tells run to check wanted and starting
}

// want requests a proof.
func (p *prober) want() {
	if p != nil {
		p.wanted.Store(true)
		p.poke()
	}
}

// poke lets run check whether a probe is wanted.
func (p *prober) poke() {
	if p == nil {
		return
	}
	select {
	case p.pending <- struct{}{}:
	default:
	}
}

// run sends probes when they are wanted, until ctx ends.
func (p *prober) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.pending:
		}
		for (p.wanted.Load() || p.starting()) && ctx.Err() == nil {
			stream, ok := p.history.probing()
			if !ok {
				break // a new watch will poke
			}
			p.wanted.Store(false)
			pause := probeAgain
			if p.probe(ctx, stream) {
				pause = p.skew + probeSlack
			}
			sleep(ctx, pause)
		}
	}
}

// probe sends one request, and reports whether the answer proves the watch.
func (p *prober) probe(ctx context.Context, stream uint64) bool {
	within, cancel := context.WithTimeout(ctx, p.skew)
	defer cancel()
	sent := p.now()
	if err := p.ask(within); err != nil {
		if ctx.Err() == nil {
			p.history.unanswered(stream)
			p.count("unanswered")
			p.log.Debug("the API server does not answer: what pods own is not certain", "error", err)
		}
		return false
	}
	sleep(ctx, probeSettle)
	if !p.history.probed(stream, sent) {
		p.count("overtaken")
		return false
	}
	p.count("proved")
	p.proved()
	return true
}

// ask lists one pod by a name that no pod has. The API server looks up one key for it. A
// list without a resource version is consistent.
func (p *prober) ask(ctx context.Context) error {
	options := metav1.ListOptions{FieldSelector: "metadata.name=kube-nflog-probe"}
	return p.client.Get().Namespace(metav1.NamespaceSystem).Resource("pods").VersionedParams(&options, metav1.ParameterCodec).Do(ctx).Error()
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
