package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/explain"
	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/policy"
)

const explainHelp = `Says whether the cluster's NetworkPolicies allow a connection, before it is tried:

  kube-nflog explain --from shop/frontend-5b9 --to shop/api-7c4 --port 8080/TCP
  kube-nflog explain --from shop/deploy/frontend --to shop/svc/api --port 80
  kube-nflog explain --from shop/frontend-5b9 --to 10.96.0.81 --port 80

It asks only the API server, from any machine with a kubeconfig. An end is one of

  NAMESPACE/POD            a pod
  KIND/NAME                in --namespace: all pods of a deploy, sts, ds, rs, job or
                           cronjob, the pods behind a svc, a pod or a node
  NAMESPACE/KIND/NAME      the same in another namespace
  ADDRESS                  the pod, node or Service that has the address; if none has
                           it, an address outside the cluster
  external:ADDRESS         an address outside the cluster; nothing is looked up

If --to is a Service, --port is the Service's port. The answer is about the port of
its pods. All addresses of a pod are tried. Different answers get lines of their own.

It needs the right to list pods and networkpolicies in the namespaces of the two ends,
services if one is named, and pods, nodes and services for an address. Some answers
need the labels of namespaces (list or get namespaces).

--suggest prints NetworkPolicies that allow the connection. Read them, then pipe them
into kubectl apply -f -. They select only pods that a NetworkPolicy isolates already,
so they deny nothing that is allowed now. Comments say what else they allow.

The exit status is 0 for allowed, 3 for denied, and 4 if the answer is not known,
because rights are missing or an end is unknown.`

func explainCommand() *cobra.Command {
	var q explain.Config
	var kubeconfig string
	cmd := &cobra.Command{
		Use:   "explain",
		Short: "Says whether NetworkPolicies allow a connection, and what would allow it",
		Long:  explainHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := q.Validate(); err != nil {
				return usageError{oneLineEach(err)}
			}
			q.Out, q.Notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return explainConnection(cmd.Context(), q, kubeconfig)
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.From, "from", "", "where the connection comes from: namespace/pod, kind/name, namespace/kind/name or an address")
	f.StringVar(&q.To, "to", "", "where it goes: the same, or a Service as svc/name")
	f.StringVar(&q.Port, "port", "", "the port and protocol: 8080/TCP, 53/UDP, 2905/SCTP")
	f.StringVarP(&q.Namespace, "namespace", "n", "", "namespace of kind/name (default: the kubeconfig's)")
	f.BoolVar(&q.Suggest, "suggest", false, "print NetworkPolicies that would allow a denied connection, as YAML")
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	f.SortFlags = false
	return cmd
}

// explainConnection answers a valid question. The exit status tells the answer.
func explainConnection(ctx context.Context, q explain.Config, kubeconfig string) error {
	cfg, namespace, err := kubeConfig(kubeconfig, "").ForUser()
	if err != nil {
		return err
	}
	if cfg == nil {
		return usageError{errors.New("--kubeconfig: needed, because there is none where kubectl looks: KUBECONFIG, ~/.kube/config")}
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

// errPrinted is the error of a command that has printed its result already.
var errPrinted = errors.New("")
