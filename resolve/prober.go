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
	// probeSlack is how much longer than the skew two probes are apart: a flow
	// waits that long at most for a watch that is well.
	probeSlack = time.Second
	// probeAgain is how soon a probe that failed is repeated.
	probeAgain = time.Second
	// probeSettle is how long after the answer the proof counts: what the watch
	// has sent before may arrive a moment later.
	probeSettle = 50 * time.Millisecond
)

// prober proves that a silent watch is well. A watch is silent when nothing
// changes, and also when the API server or the network hangs. The difference
// shows in a request that the API server answers from the same cache that feeds
// the watch, once that is as new as etcd.
//
// It asks only while a flow waits for the answer, and at most once in
// skew + probeSlack.
type prober struct {
	client  rest.Interface
	owners  *owners
	waiting func() bool // a flow waits for a proof
	proved  func()
	now     func() int64 // wall clock
	skew    time.Duration
	count   func(result string)
	log     *slog.Logger

	wanted  atomic.Bool   // a lookup found the watch silent
	pending chan struct{} // has run look at wanted and waiting
}

// want asks for a proof.
func (p *prober) want() {
	if p != nil {
		p.wanted.Store(true)
		p.poke()
	}
}

// poke has the prober look whether it is wanted.
func (p *prober) poke() {
	if p == nil {
		return
	}
	select {
	case p.pending <- struct{}{}:
	default:
	}
}

// run probes when it is wanted, until ctx ends.
func (p *prober) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.pending:
		}
		for (p.wanted.Load() || p.waiting()) && ctx.Err() == nil {
			stream, ok := p.owners.probing()
			if !ok {
				break // there will be a poke when there is a watch
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

// probe asks once, and reports whether the answer proves the watch.
func (p *prober) probe(ctx context.Context, stream uint64) bool {
	within, cancel := context.WithTimeout(ctx, p.skew)
	defer cancel()
	sent := p.now()
	if err := p.ask(within); err != nil {
		if ctx.Err() == nil {
			p.owners.unanswered(stream)
			p.count("unanswered")
			p.log.Debug("the API server does not answer: what pods own is not certain", "error", err)
		}
		return false
	}
	sleep(ctx, probeSettle)
	if !p.owners.probed(stream, sent) {
		p.count("overtaken")
		return false
	}
	p.count("proved")
	p.proved()
	return true
}

// ask lists one pod by a name that none has. The API server finds it by its
// key, without looking at any other. A list without a resource version is a
// consistent one.
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
