package resolve

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// IdentifierKind chooses the text that names a pod in messages.
type IdentifierKind uint8

// The kinds of identifier. A pod without the label, or without a controlling
// object, is named as NameWithNamespace does.
const (
	NameWithNamespace IdentifierKind = iota // shop/frontend-5b9
	NameOnly                                // frontend-5b9
	NamespaceOnly                           // shop
	LabelValue                              // the value of Config.IdentifierLabel
	WorkloadName                            // shop/Deployment/frontend
)

// Scope chooses the pods that are watched.
type Scope uint8

// The scopes.
const (
	ClusterScope Scope = iota // every pod of the cluster
	NodeScope                 // the pods of Config.NodeName
)

// Config says how addresses are resolved. Its zero value watches the pods,
// nodes and services of the whole cluster and asks no reverse DNS.
type Config struct {
	// NodeName is the node this process runs on; NodeScope needs it.
	NodeName string
	Scope    Scope
	// PeerLookup asks the API server for pods of other nodes by address, one
	// list call each. For NodeScope alone.
	PeerLookup bool
	// PeerQPS and PeerBurst bound those calls; 0 is 2 per second and 10.
	PeerQPS   float64
	PeerBurst int

	Identifier      IdentifierKind
	IdentifierLabel string // the label's key, for LabelValue alone

	// PodLabels keeps the labels and the named ports of pods, for
	// Endpoint.Labels and Endpoint.Ports.
	PodLabels bool

	// NamespaceEvents watches namespaces for their annotation about events, see
	// Endpoint.EventsDisabled; else only that of pods counts.
	NamespaceEvents bool

	// NoServices leaves Services unknown: no Service is listed or watched.
	NoServices bool

	// DNS answers the reverse lookups of external addresses; nil for none.
	DNS *net.Resolver
	// DNSQPS and DNSBurst bound its questions; 0 is 10 per second and 20.
	DNSQPS   float64
	DNSBurst int
	// DNSTimeout bounds one question; 0 is 2 s.
	DNSTimeout time.Duration

	// Skew is how far the clocks of two nodes, and the whole seconds of
	// Kubernetes' time stamps, may put two times apart; 0 is 2 s.
	Skew time.Duration
	// Keep is how long the ended owners of an address are remembered; 0 is
	// 5 minutes.
	Keep time.Duration
	// Wait is how long after a packet an unknown address may become known; 0 is
	// 15 s.
	Wait time.Duration
	// Hold is the same while the watch of pods is broken, or may be; 0 is
	// 2 minutes. It must be less than Keep.
	Hold time.Duration

	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: nothing is measured
	Now        func() time.Time      // nil: time.Now
}

// complete fills in the defaults.
func (c *Config) complete() {
	orDefault(&c.PeerQPS, 2)
	orDefault(&c.PeerBurst, 10)
	orDefault(&c.DNSQPS, 10)
	orDefault(&c.DNSBurst, 20)
	orDefault(&c.DNSTimeout, 2*time.Second)
	orDefault(&c.Skew, 2*time.Second)
	orDefault(&c.Keep, 5*time.Minute)
	orDefault(&c.Wait, 15*time.Second)
	orDefault(&c.Hold, 2*time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// orDefault sets a zero value to its default.
func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// check reports everything that contradicts itself.
func (c *Config) check() error {
	var bad []error
	if c.Scope == NodeScope && c.NodeName == "" {
		bad = append(bad, errors.New("node scope needs the node's name"))
	}
	if c.PeerLookup && c.Scope != NodeScope {
		bad = append(bad, errors.New("peer lookup is for node scope: cluster scope knows every pod"))
	}
	if c.Identifier == LabelValue && c.IdentifierLabel == "" {
		bad = append(bad, errors.New("a label identifier needs the label's key"))
	}
	if c.Identifier > WorkloadName {
		bad = append(bad, fmt.Errorf("no identifier kind %d", c.Identifier))
	}
	if min(c.PeerQPS, c.DNSQPS) < 0 || min(c.PeerBurst, c.DNSBurst) < 0 ||
		min(c.DNSTimeout, c.Skew, c.Keep, c.Wait, c.Hold) < 0 {
		bad = append(bad, errors.New("a rate, bound or time is negative"))
	}
	return errors.Join(bad...)
}
