package explain

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Config says how flows are explained.
type Config struct {
	// NodeName is this node's name, for what is said of its rules.
	NodeName string
	// Rules reads the prefixes; it must be given.
	Rules *dialect.Parser
	// PartialPods says that an address which no known pod has may still be a
	// pod's, because not all pods are watched.
	PartialPods bool
	// NamespaceOnly says that the owners of one end may learn of other namespaces
	// no more than their names. Explain then tells views.
	NamespaceOnly bool
	// Fresh is how long ago a policy may have changed for its change to explain
	// that a flow was dropped which it allows now; 0 is a minute.
	Fresh time.Duration

	Registerer prometheus.Registerer // nil: nothing is measured
	Logger     *slog.Logger          // nil: nothing is logged
	Now        func() time.Time      // nil: time.Now
}

// Explainer explains flows. Make one with New.
type Explainer struct {
	cfg      Config
	policies *policy.Set
	feeds    []*resolve.Feed
}

// New makes an Explainer that reads policies through networking, a client of
// networking.k8s.io/v1, and namespaces through core, one of core/v1. Without
// them (nil) it knows what the rules say and no more.
func New(cfg Config, core, networking rest.Interface) (*Explainer, error) {
	if cfg.Fresh == 0 {
		cfg.Fresh = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &Explainer{cfg: cfg, policies: policy.NewSet(cfg.Now)}
	if err := e.register(); err != nil {
		return nil, fmt.Errorf("explain: register metrics: %w", err)
	}
	if core == nil || networking == nil {
		return e, nil
	}
	sources := []resolve.Source{e.policySource(networking), e.namespaceSource(core)}
	for i := range sources {
		f, err := resolve.NewFeed(sources[i], cfg.Logger)
		if err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		e.feeds = append(e.feeds, f)
	}
	return e, nil
}

func (e *Explainer) register() error {
	if e.cfg.Registerer == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kube_nflog_networkpolicies", Help: "NetworkPolicies that are known.",
		}, func() float64 { return float64(e.policies.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kube_nflog_networkpolicies_cut",
			Help: "NetworkPolicies with more rules, peers, ports and selector values than are kept; what only the rest may allow is not decided.",
		}, func() float64 { return float64(e.policies.Cut()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "kube_nflog_networkpolicy_overruns_total",
			Help: "How often a direction of a flow was not compared with all NetworkPolicies of its namespace, as they have too many rules, peers and ports.",
		}, func() float64 { return float64(e.policies.Overruns()) }),
	} {
		if err := e.cfg.Registerer.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Run keeps policies up to date until ctx ends, and returns after all it
// started has ended. Its error is always nil: what fails is tried again.
func (e *Explainer) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, f := range e.feeds {
		group.Go(func() { f.Run(ctx) })
	}
	group.Wait()
	return nil
}

// Synced says whether the policies and namespaces that there were at the start
// are known, or are forbidden to this process.
func (e *Explainer) Synced() bool {
	for _, f := range e.feeds {
		if !f.Synced() {
			return false
		}
	}
	return true
}

// WaitSynced waits until Synced is true. Its error wraps ctx's.
func (e *Explainer) WaitSynced(ctx context.Context) error {
	for _, f := range e.feeds {
		if err := f.WaitSynced(ctx); err != nil {
			return fmt.Errorf("explain: %w", err)
		}
	}
	return nil
}

// knows says whether the policies are known.
func (e *Explainer) knows() bool {
	for _, f := range e.feeds {
		if !f.Known() {
			return false
		}
	}
	return len(e.feeds) > 0
}

// Explain says why a flow was dropped. said is what other rules said of its
// packets, nil for nothing.
func (e *Explainer) Explain(f *flow.Flow, source, destination *resolve.Endpoint, said []dialect.Said) policy.Reason {
	var answer *policy.Answer
	if e.knows() {
		if asked, ok := e.asked(f, source, destination); ok {
			a := e.policies.Evaluate(&asked)
			answer = &a
		}
	}
	return e.tell(f, said, answer, source, destination)
}
