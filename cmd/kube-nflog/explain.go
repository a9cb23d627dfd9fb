package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/explain"
)

const explainHelp = `Says what the cluster's NetworkPolicies make of traffic, before any is sent:

  kube-nflog explain --from shop/frontend-5b9 --to shop/api-7c4 --port 8080/TCP

It asks the API server, from any machine with a kubeconfig, and looks at no node.
An end is a pod, namespace/name, or an address outside the cluster. It needs to
list pods and networkpolicies in the namespaces of the two ends, and namespaces.

--suggest prints NetworkPolicies that allow exactly this traffic, to pipe into
kubectl apply -f - after reading them.

The exit status is 0 for what is allowed, 3 for what is denied.`

// question is what explain's flags say.
type question struct {
	from, to, port string
	kubeconfig     string
	suggest        bool
}

// deniedError ends explain for traffic that is denied, after it was said so.
type deniedError struct{}

func (deniedError) Error() string { return "" }

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
	f.StringVar(&q.from, "from", "", "where the traffic comes from: namespace/pod or an address")
	f.StringVar(&q.to, "to", "", "where it goes: namespace/pod or an address")
	f.StringVar(&q.port, "port", "", "the destination's port and protocol: 8080/TCP, 53/UDP, 2905/SCTP")
	f.BoolVar(&q.suggest, "suggest", false, "print NetworkPolicies that would allow denied traffic, as YAML")
	f.StringVar(&q.kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it)")
	f.SortFlags = false
	return cmd
}

// traffic is a question that was understood.
type traffic struct {
	from, to traffickedEnd
	protocol corev1.Protocol
	port     uint16
}

// traffickedEnd is a pod, or else an address.
type traffickedEnd struct {
	namespace, name string
	addr            netip.Addr
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
	if t.from.name == "" && t.to.name == "" {
		return traffic{}, errors.New("--from, --to: one of them must be a pod, policies are about nothing else")
	}
	return t, nil
}

func parseEnd(flag, s string) (traffickedEnd, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return traffickedEnd{addr: addr}, nil
	}
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return traffickedEnd{}, fmt.Errorf("%s: %q is neither namespace/pod nor an address", flag, s)
	}
	return traffickedEnd{namespace: namespace, name: name}, nil
}

func parsePort(s string) (uint16, corev1.Protocol, error) {
	number, protocol, ok := strings.Cut(s, "/")
	if !ok {
		protocol = string(corev1.ProtocolTCP)
	}
	p := corev1.Protocol(strings.ToUpper(protocol))
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || !slices.Contains([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}, p) {
		return 0, "", fmt.Errorf("--port: %q is no port and protocol such as 8080/TCP", s)
	}
	return uint16(n), p, nil
}

// answer asks the API server and prints what it makes of it.
func (q *question) answer(cmd *cobra.Command, t traffic) error {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = q.kubeconfig
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return usageError{errors.New("--kubeconfig: needed, as there is none where kubectl looks for it: KUBECONFIG, ~/.kube/config")}
	}
	if err != nil {
		return usageError{fmt.Errorf("--kubeconfig: %w", err)}
	}
	var kube clients
	if kube.core, err = kubeClient(cfg, "/api", corev1.SchemeGroupVersion, corev1.AddToScheme); err != nil {
		return err
	}
	if kube.networking, err = kubeClient(cfg, "/apis", networkingv1.SchemeGroupVersion, networkingv1.AddToScheme); err != nil {
		return err
	}
	c := cluster{clients: kube, policies: policy.NewSet(nil), warn: cmd.ErrOrStderr()}
	f, err := c.flow(cmd.Context(), t)
	if err != nil {
		return err
	}
	a := c.policies.Evaluate(&f)
	return q.print(cmd.OutOrStdout(), &f, &a, c.pods)
}

func (q *question) print(w io.Writer, f *policy.Flow, a *policy.Answer, pods []policy.End) error {
	text, allowed := explain.Verdict(a)
	// With --suggest the YAML is what goes on to kubectl: the verdict is a comment.
	mark := ""
	if q.suggest {
		mark = "# "
	}
	if _, err := fmt.Fprintf(w, "%s%s → %s on port %d/%s: %s\n", mark, endName(&f.Source), endName(&f.Destination), f.Port, f.Protocol, text); err != nil {
		return err
	}
	if allowed {
		return nil
	}
	if q.suggest {
		if err := suggest(w, f, a, pods); err != nil {
			return err
		}
	}
	return deniedError{}
}

func endName(e *policy.End) string {
	switch {
	case e.Name == "":
		return e.Addr.String()
	case !e.Addr.IsValid():
		return e.Namespace + "/" + e.Name + " (no address yet)"
	}
	return e.Namespace + "/" + e.Name + " (" + e.Addr.String() + ")"
}

func suggest(w io.Writer, f *policy.Flow, a *policy.Answer, pods []policy.End) error {
	policies, err := policy.Suggest(f, a, pods)
	if err != nil {
		return fmt.Errorf("suggest a NetworkPolicy: %w", err)
	}
	for _, p := range policies {
		text, err := yaml.Marshal(p)
		if err != nil {
			return fmt.Errorf("write %s: %w", p.Name, err)
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}
