// Package explain is the logic of "kube-nflog explain": it tells whether a cluster's
// NetworkPolicies allow a connection, before anybody tries it. In go the two ends and
// a port; out come lines for a person and, with Suggest, the policies that would
// allow the connection. It lists what it needs from the API server once, and watches
// nothing.
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

// UnknownError is the reason why Run has no answer, such as a missing right.
type UnknownError struct{ error }

func (e UnknownError) Unwrap() error { return e.error }

// Validate reports every mistake in the question at once.
func (c *Config) Validate() error {
	_, err := c.parse()
	return err
}

// parse reads the question, and reports every mistake at once.
func (c *Config) parse() (q question, err error) {
	var errs [3]error
	q.from, errs[0] = parseEnd("--from", c.From)
	q.to, errs[1] = parseEnd("--to", c.To)
	q.port, q.protocol, errs[2] = parsePort(c.Port)
	if err := errors.Join(errs[:]...); err != nil {
		return question{}, err
	}
	if q.from.kind == kindService {
		return question{}, errors.New("--from: a Service opens no connections: name its pods")
	}
	if q.from.external && q.to.external {
		return question{}, errNoPod
	}
	return q, nil
}

var errNoPod = errors.New("--from, --to: one of them must be a pod, because policies are only about pods")

// Run reads what it needs, prints each different answer, and returns the worst one.
// Its error is a ConfigError if the question makes no sense, and an UnknownError if
// rights are missing.
func Run(ctx context.Context, cfg Config) (policy.Verdict, error) {
	q, err := cfg.parse()
	if err != nil {
		return policy.Undecided, ConfigError{err}
	}
	for _, e := range []*endName{&q.from, &q.to} {
		if e.kind != "" && e.kind != kindNode && e.namespace == "" {
			e.namespace = cfg.Namespace
		}
	}
	s := snapshot{Clients: cfg.Clients, policies: policy.NewSet(nil), read: map[string]bool{}, notes: cfg.Notes}
	connections, err := s.connections(ctx, &q)
	if err != nil {
		return policy.Undecided, err
	}
	return cfg.print(s.evaluate(connections), &s)
}

// connection is one connection that the question is about.
type connection struct {
	policy.Flow

	via string // the Service that leads to the destination, as resolvedEnd has it
}

// connections reads what is needed and returns every connection that the question
// is about: between all pods of the two ends, and between all their addresses.
func (s *snapshot) connections(ctx context.Context, q *question) ([]connection, error) {
	from, err := s.findOwners(ctx, q.from, q, q.to.namespace)
	if err != nil {
		return nil, err
	}
	to, err := s.findOwners(ctx, q.to, q, q.from.namespace)
	if err != nil {
		return nil, err
	}
	var all []connection
	namespaces := map[string]bool{}
	for i := range from {
		if from[i].via != "" {
			return nil, ConfigError{fmt.Errorf("--from: %s is the address%s, which opens no connections: name its pods", q.from.addr, from[i].via)}
		}
		for k := range to {
			both := pairs(from[i].ends, to[k].ends)
			for n := range both {
				f := connection{policy.Flow{Source: both[n][0], Destination: both[n][1], Protocol: q.protocol, Port: to[k].port}, to[k].via}
				namespaces[f.Source.Namespace], namespaces[f.Destination.Namespace] = true, true
				all = append(all, f)
			}
		}
	}
	if f := &all[0]; f.Source.Kind == policy.Outside && f.Destination.Kind == policy.Outside {
		return nil, ConfigError{errNoPod}
	}
	delete(namespaces, "")
	var asked []string
	for namespace := range namespaces {
		asked = append(asked, namespace)
	}
	if err := s.readNamespaces(ctx, asked...); err != nil {
		return nil, err
	}
	for _, namespace := range asked {
		if err := errors.Join(s.readPolicies(ctx, namespace), s.readPods(ctx, namespace)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// findOwners calls find, and notes that an address has several owners.
func (s *snapshot) findOwners(ctx context.Context, e endName, q *question, other string) ([]resolvedEnd, error) {
	found, err := s.find(ctx, e, q, other)
	if err == nil && e.kind == "" && len(found) > 1 && found[0].via == "" {
		_, err = fmt.Fprintf(s.notes, "kube-nflog: %s has %d owners, each has its own answer\n", e.addr, len(found))
	}
	return found, err
}

// pairs returns the pairs of ends of one IP family. If there are none, it returns one
// pair of different families, because policies may be about that too.
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
