// Package explain answers what a cluster's NetworkPolicies make of a connection,
// before it is tried. In go the names of its two ends and a port; out come lines
// for a person, and if asked, the policies that would allow it. It lists what it
// needs from the API server once, and watches nothing.
package explain

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/policy"
)

// Config is a question.
type Config struct {
	From, To  string // namespace/pod, kind/name, namespace/kind/name, an address or external:address
	Port      string // a port and its protocol, such as 8080/TCP
	Namespace string // of ends without one
	Suggest   bool   // print NetworkPolicies that would allow denied traffic

	Clients kube.Clients
	Out     io.Writer // gets the answers
	Notes   io.Writer // gets warnings
}

// ConfigError is a mistake in a question.
type ConfigError struct{ error }

func (e ConfigError) Unwrap() error { return e.error }

// UnknownError is what keeps Run from an answer, such as a missing right.
type UnknownError struct{ error }

func (e UnknownError) Unwrap() error { return e.error }

// Validate reports every mistake in the question at once.
func (c *Config) Validate() error {
	_, err := c.parse()
	return err
}

// parse reports every mistake at once.
func (c *Config) parse() (t traffic, err error) {
	var errs [3]error
	t.from, errs[0] = parseEnd("--from", c.From)
	t.to, errs[1] = parseEnd("--to", c.To)
	t.port, t.protocol, errs[2] = parsePort(c.Port)
	if err := errors.Join(errs[:]...); err != nil {
		return traffic{}, err
	}
	if t.from.kind == kindService {
		return traffic{}, errors.New("--from: a Service opens no connections, its pods do: name these")
	}
	if t.from.external && t.to.external {
		return traffic{}, errNoPod
	}
	return t, nil
}

var errNoPod = errors.New("--from, --to: one of them must be a pod, policies are about nothing else")

// Run reads what it needs, prints an answer for each kind of connection that the
// question is about, and returns the worst of them. Its error is a ConfigError for
// a question that makes no sense, and an UnknownError where rights are missing.
func Run(ctx context.Context, cfg Config) (policy.Verdict, error) {
	t, err := cfg.parse()
	if err != nil {
		return policy.Undecided, ConfigError{err}
	}
	for _, e := range []*traffickedEnd{&t.from, &t.to} {
		if e.kind != "" && e.kind != kindNode && e.namespace == "" {
			e.namespace = cfg.Namespace
		}
	}
	c := cluster{Clients: cfg.Clients, policies: policy.NewSet(nil), read: map[string]bool{}, warn: cfg.Notes}
	flows, err := c.flows(ctx, t)
	if err != nil {
		return policy.Undecided, err
	}
	return cfg.print(c.judge(flows), &c)
}

// candidate is a flow that the question is about, and what its destination is one
// of.
type candidate struct {
	policy.Flow

	via string
}

// flows reads what is needed and returns every flow that the question is about:
// between all pods of its ends, and all their addresses.
func (c *cluster) flows(ctx context.Context, t traffic) ([]candidate, error) {
	from, err := c.findOwners(ctx, t.from, t, t.to.namespace)
	if err != nil {
		return nil, err
	}
	to, err := c.findOwners(ctx, t.to, t, t.from.namespace)
	if err != nil {
		return nil, err
	}
	var flows []candidate
	namespaces := map[string]bool{}
	for i := range from {
		if from[i].via != "" {
			return nil, ConfigError{fmt.Errorf("--from: %s is the address%s, which opens no connections: name its pods", t.from.addr, from[i].via)}
		}
		for k := range to {
			both := pairs(from[i].ends, to[k].ends)
			for n := range both {
				f := candidate{policy.Flow{Source: both[n][0], Destination: both[n][1], Protocol: t.protocol, Port: to[k].port}, to[k].via}
				namespaces[f.Source.Namespace], namespaces[f.Destination.Namespace] = true, true
				flows = append(flows, f)
			}
		}
	}
	if f := &flows[0]; f.Source.Kind == policy.Outside && f.Destination.Kind == policy.Outside {
		return nil, ConfigError{errNoPod}
	}
	delete(namespaces, "")
	var asked []string
	for namespace := range namespaces {
		asked = append(asked, namespace)
	}
	if err := c.readNamespaces(ctx, asked...); err != nil {
		return nil, err
	}
	for _, namespace := range asked {
		if err := errors.Join(c.readPolicies(ctx, namespace), c.readPods(ctx, namespace)); err != nil {
			return nil, err
		}
	}
	return flows, nil
}

// findOwners is find that reports an address which several own.
func (c *cluster) findOwners(ctx context.Context, e traffickedEnd, t traffic, other string) ([]place, error) {
	found, err := c.find(ctx, e, t, other)
	if err == nil && e.kind == "" && len(found) > 1 && found[0].via == "" {
		_, err = fmt.Fprintf(c.warn, "kube-nflog: %s has %d owners, each is judged\n", e.addr, len(found))
	}
	return found, err
}

// pairs are the ends that speak the same IP; ends that do not are one pair all the
// same, as policies may say something of it.
func pairs(from, to []policy.End) (all [][2]policy.End) {
	for _, a := range from {
		for _, b := range to {
			if a.Addr.Is4() == b.Addr.Is4() {
				all = append(all, [2]policy.End{a, b})
			}
		}
	}
	if all == nil {
		all = append(all, [2]policy.End{from[0], to[0]})
	}
	return all
}
