package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/policy"
)

const explainHelp = `Says what the cluster's NetworkPolicies make of traffic, before any is sent:

  kube-nflog explain --from shop/frontend-5b9 --to shop/api-7c4 --port 8080/TCP
  kube-nflog explain --from shop/deploy/frontend --to shop/svc/api --port 80
  kube-nflog explain --from shop/frontend-5b9 --to 10.96.0.81 --port 80

It asks the API server, from any machine with a kubeconfig, and looks at no node.
An end is one of

  NAMESPACE/POD            a pod
  KIND/NAME                all pods of a deploy, sts, ds, rs, job or cronjob, the pods
                           behind a svc, a pod or a node, in --namespace
  NAMESPACE/KIND/NAME      the same of another namespace
  ADDRESS                  the pod, node or Service that has it, else it is outside
  external:ADDRESS         an address outside the cluster, without asking

With a Service, --port is the Service's; the answer is about its pods' ports.
All addresses of a pod are judged, and told apart where the answers differ.

It needs to list pods and networkpolicies in the namespaces of the two ends, the
services of one that is named, and for an address pods, nodes and services. Without
the labels of namespaces (list or get namespaces) some answers cannot be told.

--suggest prints NetworkPolicies that allow this traffic, to pipe into kubectl
apply -f - after reading them. They select only pods that a NetworkPolicy isolates
already, so that nothing that is allowed becomes denied. Comments say what else they
allow.

The exit status is 0 for what is allowed, 3 for what is denied, 4 where it cannot be
told, as rights are missing or an end is not known.`

// question is what explain's flags say.
type question struct {
	from, to, port string
	namespace      string
	kubeconfig     string
	suggest        bool
}

// deniedError ends explain for traffic that is denied, after it was said so.
type deniedError struct{}

func (deniedError) Error() string { return "" }

// undecidedError ends explain for traffic of which it was said that it cannot be
// told.
type undecidedError struct{}

func (undecidedError) Error() string { return "" }

func explainCommand() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Says what NetworkPolicies make of traffic, and what would allow it",
		Long:  explainHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asked, err := q.parse()
			if err != nil {
				return usageError{oneLineEach(err)}
			}
			return q.answer(cmd, asked)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.from, "from", "", "where the traffic comes from: namespace/pod, kind/name, namespace/kind/name or an address")
	f.StringVar(&q.to, "to", "", "where it goes: the same, or a Service as svc/name")
	f.StringVar(&q.port, "port", "", "the port it is sent to and the protocol: 8080/TCP, 53/UDP, 2905/SCTP")
	f.StringVarP(&q.namespace, "namespace", "n", "", "namespace of kind/name (default: the kubeconfig's)")
	f.BoolVar(&q.suggest, "suggest", false, "print NetworkPolicies that would allow denied traffic, as YAML")
	f.StringVar(&q.kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	f.SortFlags = false
	return cmd
}

// parse reports every mistake at once.
func (q *question) parse() (t traffic, err error) {
	var errs [3]error
	t.from, errs[0] = parseEnd("--from", q.from)
	t.to, errs[1] = parseEnd("--to", q.to)
	t.port, t.protocol, errs[2] = parsePort(q.port)
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

// answer asks the API server and prints what it makes of it.
func (q *question) answer(cmd *cobra.Command, t traffic) error {
	cfg, namespace, err := kubeConfig(q.kubeconfig, "").ForUser()
	if err != nil {
		return err
	}
	if cfg == nil {
		return usageError{errors.New("--kubeconfig: needed, as there is none where kubectl looks for it: KUBECONFIG, ~/.kube/config")}
	}
	if q.namespace != "" {
		namespace = q.namespace
	}
	for _, e := range []*traffickedEnd{&t.from, &t.to} {
		if e.kind != "" && e.kind != kindNode && e.namespace == "" {
			e.namespace = namespace
		}
	}
	clients, err := kube.NewClients(cfg)
	if err != nil {
		return err
	}
	c := cluster{Clients: clients, policies: policy.NewSet(nil), read: map[string]bool{}, warn: cmd.ErrOrStderr()}
	flows, err := c.flows(cmd.Context(), t)
	if err != nil {
		return err
	}
	return q.print(cmd.OutOrStdout(), c.judge(flows), &c)
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
			return nil, usageError{fmt.Errorf("--from: %s is the address%s, which opens no connections: name its pods", t.from.addr, from[i].via)}
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
		return nil, usageError{errNoPod}
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
