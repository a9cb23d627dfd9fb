package explain

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// snapshot holds the objects that were read from the API server: the policies of the
// namespaces in question, and pods.
type snapshot struct {
	kube.Clients

	policies *policy.Set
	pods     []pod
	read     map[string]bool // the namespaces whose pods were read; "" for all
	notes    io.Writer
}

// pod is a pod with an end for each of its addresses, at least one.
type pod struct {
	ends     []policy.End
	workload string // "namespace/Deployment/name", "" for none
}

// forbidden returns an UnknownError if the API server forbids to list the objects,
// else err.
func forbidden(err error, what, namespace string) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	where := "in all namespaces"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	return UnknownError{fmt.Errorf("cannot tell: you may not list %s %s", what, where)}
}

// readNamespaces reads the labels of all namespaces or, if that is forbidden, of the
// namespaces in question.
func (s *snapshot) readNamespaces(ctx context.Context, asked ...string) error {
	var namespaces corev1.NamespaceList
	err := list(ctx, s.Core, "namespaces", "", &namespaces)
	if apierrors.IsForbidden(err) {
		for _, name := range asked {
			var n corev1.Namespace
			err := s.Core.Get().Resource("namespaces").Name(name).Do(ctx).Into(&n)
			// Without its labels, selectors of namespaces are undecided.
			if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
				return fmt.Errorf("get namespace %s: %w", name, err)
			}
			if err == nil {
				s.policies.PutNamespace(n.Name, n.Labels)
			}
		}
		return nil
	}
	for i := range namespaces.Items {
		s.policies.PutNamespace(namespaces.Items[i].Name, namespaces.Items[i].Labels)
	}
	return err
}

// readPolicies reads the policies of a namespace.
func (s *snapshot) readPolicies(ctx context.Context, namespace string) error {
	var policies networkingv1.NetworkPolicyList
	if err := list(ctx, s.Networking, "networkpolicies", namespace, &policies); err != nil {
		return forbidden(err, "networkpolicies", namespace)
	}
	for i := range policies.Items {
		o := &policies.Items[i]
		r, err := policy.Compile(o)
		if err != nil {
			if _, err := fmt.Fprintf(s.notes, "kube-nflog: invalid parts of a policy match nothing: %v\n", err); err != nil {
				return err
			}
		}
		if r.Cut() {
			if _, err := fmt.Fprintf(s.notes, "kube-nflog: NetworkPolicy %s/%s is too large: connections that only its last rules allow are not decided\n", o.Namespace, o.Name); err != nil {
				return err
			}
		}
		s.policies.Put(r)
	}
	return nil
}

// readPods reads the pods of a namespace, or of all namespaces for "". It leaves out
// pods that have ended, because they have no address any more.
func (s *snapshot) readPods(ctx context.Context, namespace string) error {
	if s.read[namespace] || s.read[""] {
		return nil
	}
	var pods corev1.PodList
	if err := list(ctx, s.Core, "pods", namespace, &pods); err != nil {
		return forbidden(err, "pods", namespace)
	}
	if namespace == "" {
		s.pods = nil
	}
	s.read[namespace] = true
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			s.pods = append(s.pods, pod{podEnds(p), resolve.WorkloadOf(p)})
		}
	}
	return nil
}

// known returns the ends of all pods that were read.
func (s *snapshot) known() (ends []policy.End) {
	for i := range s.pods {
		ends = append(ends, s.pods[i].ends...)
	}
	return ends
}

func list(ctx context.Context, client rest.Interface, resource, namespace string, into runtime.Object) error {
	err := client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).Do(ctx).Into(into)
	if err != nil {
		return fmt.Errorf("list %s: %w", resource, err)
	}
	return nil
}

// podEnds returns an end for each address of a pod, as policies see it. For a pod on
// the host's network that is the node. A pod without an address gets one end too.
func podEnds(p *corev1.Pod) []policy.End {
	e := policy.End{
		Kind: policy.Pod, Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Ports: resolve.PortsOf(p), NodeName: p.Spec.NodeName,
	}
	if p.Spec.HostNetwork {
		e.Kind = policy.Node // policies ignore the labels of such a pod
	}
	e.Addr, _ = netip.ParseAddr(p.Status.PodIP)
	all := []policy.End{e}
	for _, ip := range p.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil && addr != e.Addr {
			other := e
			other.Addr = addr
			all = append(all, other)
		}
	}
	return all
}
