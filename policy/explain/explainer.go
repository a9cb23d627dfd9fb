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

// Config configures an Explainer.
type Config struct {
	// NodeName is the name of this node, for texts about its rules.
	NodeName string
	// Rules parses the prefixes. It is required.
	Rules *dialect.Parser
	// PartialPods reports that an unknown address may belong to a pod, because not all pods
	// are watched.
	PartialPods bool
	// NamespaceOnly reports that the owners of one end may learn only the names of other
	// namespaces. Explain then fills in the views.
	NamespaceOnly bool
	// Fresh is the time after a policy's change in which the change explains the drop of a
	// flow that the policy now allows; 0 is a minute.
	Fresh time.Duration

	Registerer prometheus.Registerer // nil: nothing is measured
	Logger     *slog.Logger          // nil: nothing is logged
	Now        func() time.Time      // nil: time.Now
}

// Explainer explains flows. Create one with New.
type Explainer struct {
	cfg       Config
	policies  *policy.Set
	informers []*resolve.Informer
}

// New returns an Explainer. It reads policies through networking, a client of
// networking.k8s.io/v1, and namespaces through core, a client of core/v1. Without clients
// (nil) it knows only what the prefixes of the rules say.
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
		f, err := resolve.NewInformer(sources[i], cfg.Logger)
		if err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		e.informers = append(e.informers, f)
	}
	return e, nil
}

func (e *Explainer) register() error {
	if e.cfg.Registerer == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kube_nflog_networkpolicies", Help: "Known NetworkPolicies.",
		}, func() float64 { return float64(e.policies.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "kube_nflog_networkpolicies_cut",
			Help: "NetworkPolicies with more rules, peers, ports and selector values than are kept. What only the rest may allow is undecided.",
		}, func() float64 { return float64(e.policies.Cut()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "kube_nflog_networkpolicy_overruns_total",
			Help: "How often a flow was not compared with all NetworkPolicies of a namespace, because they have too many rules, peers and ports.",
		}, func() float64 { return float64(e.policies.Overruns()) }),
	} {
		if err := e.cfg.Registerer.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Run keeps the policies up to date until ctx ends. It returns when everything that it
// started has ended. It always returns nil, because it repeats what fails.
func (e *Explainer) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, f := range e.informers {
		group.Go(func() { f.Run(ctx) })
	}
	group.Wait()
	return nil
}

// Synced reports whether the policies and namespaces of the start are known, or are
// forbidden to this process.
func (e *Explainer) Synced() bool {
	for _, f := range e.informers {
		if !f.Synced() {
			return false
		}
	}
	return true
}

// WaitSynced waits until Synced is true. Its error wraps ctx's.
func (e *Explainer) WaitSynced(ctx context.Context) error {
	for _, f := range e.informers {
		if err := f.WaitSynced(ctx); err != nil {
			return fmt.Errorf("explain: %w", err)
		}
	}
	return nil
}

// knows reports whether the policies are known.
func (e *Explainer) knows() bool {
	for _, f := range e.informers {
		if !f.Known() {
			return false
		}
	}
	return len(e.informers) > 0
}

// Explain returns why a flow was dropped. infos is what the prefixes of other rules tell of its packets;
// nil for nothing.
func (e *Explainer) Explain(f *flow.Flow, source, destination *resolve.Endpoint, infos []dialect.PrefixInfo) policy.Reason {
	var answer *policy.Answer
	if e.knows() {
		if query, ok := e.query(f, source, destination); ok {
			a := e.policies.Evaluate(&query)
			answer = &a
		}
	}
	return e.tell(f, infos, answer, source, destination)
}
