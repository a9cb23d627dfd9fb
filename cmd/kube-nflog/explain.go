package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/explain"
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

func explainCommand() *cobra.Command {
	var q explain.Config
	var kubeconfig string
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Says what NetworkPolicies make of traffic, and what would allow it",
		Long:  explainHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.Validate(); err != nil {
				return usageError{oneLineEach(err)}
			}
			q.Out, q.Notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return explainTraffic(cmd.Context(), q, kubeconfig)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.From, "from", "", "where the traffic comes from: namespace/pod, kind/name, namespace/kind/name or an address")
	f.StringVar(&q.To, "to", "", "where it goes: the same, or a Service as svc/name")
	f.StringVar(&q.Port, "port", "", "the port it is sent to and the protocol: 8080/TCP, 53/UDP, 2905/SCTP")
	f.StringVarP(&q.Namespace, "namespace", "n", "", "namespace of kind/name (default: the kubeconfig's)")
	f.BoolVar(&q.Suggest, "suggest", false, "print NetworkPolicies that would allow denied traffic, as YAML")
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	f.SortFlags = false
	return cmd
}

// explainTraffic answers a valid question. The exit status tells the answer.
func explainTraffic(ctx context.Context, q explain.Config, kubeconfig string) error {
	cfg, namespace, err := kubeConfig(kubeconfig, "").ForUser()
	if err != nil {
		return err
	}
	if cfg == nil {
		return usageError{errors.New("--kubeconfig: needed, as there is none where kubectl looks for it: KUBECONFIG, ~/.kube/config")}
	}
	if q.Clients, err = kube.NewClients(cfg); err != nil {
		return err
	}
	if q.Namespace == "" {
		q.Namespace = namespace
	}
	verdict, err := explain.Run(ctx, q)
	switch {
	case errors.As(err, new(explain.ConfigError)):
		return usageError{err}
	case errors.As(err, new(explain.UnknownError)):
		return statusError{err, exitUnknown}
	case err != nil:
		return err
	case verdict == policy.Denied:
		return statusError{errPrinted, exitDenied}
	case verdict == policy.Undecided:
		return statusError{errPrinted, exitUnknown}
	}
	return nil
}

// errPrinted is the error of a command that has printed what is wrong.
var errPrinted = errors.New("")
