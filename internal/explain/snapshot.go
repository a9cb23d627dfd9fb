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

// cluster is what explain has to know of one: the policies of the namespaces in
// question, and pods. It lists and watches nothing.
type cluster struct {
	kube.Clients

	policies *policy.Set
	pods     []pod
	read     map[string]bool // namespaces whose pods are known, "" for all
	warn     io.Writer
}

// pod is a pod with an end for each of its addresses, at least one.
type pod struct {
	ends     []policy.End
	workload string // "namespace/Deployment/name", "" for none
}

// forbidden makes an UnknownError of an answer that the API server forbids.
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

// readNamespaces reads the labels of all namespaces, or if that is forbidden, of
// those that are asked about.
func (c *cluster) readNamespaces(ctx context.Context, asked ...string) error {
	var namespaces corev1.NamespaceList
	err := list(ctx, c.Core, "namespaces", "", &namespaces)
	if apierrors.IsForbidden(err) {
		for _, name := range asked {
			var n corev1.Namespace
			err := c.Core.Get().Resource("namespaces").Name(name).Do(ctx).Into(&n)
			// Without its labels, selectors by them are undecided.
			if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
				return fmt.Errorf("get namespace %s: %w", name, err)
			}
			if err == nil {
				c.policies.PutNamespace(n.Name, n.Labels)
			}
		}
		return nil
	}
	for i := range namespaces.Items {
		c.policies.PutNamespace(namespaces.Items[i].Name, namespaces.Items[i].Labels)
	}
	return err
}

// readPolicies reads the policies of a namespace.
func (c *cluster) readPolicies(ctx context.Context, namespace string) error {
	var policies networkingv1.NetworkPolicyList
	if err := list(ctx, c.Networking, "networkpolicies", namespace, &policies); err != nil {
		return forbidden(err, "networkpolicies", namespace)
	}
	for i := range policies.Items {
		o := &policies.Items[i]
		r, err := policy.NewRecord(o)
		if err != nil {
			if _, err := fmt.Fprintf(c.warn, "kube-nflog: what is invalid matches nothing: %v\n", err); err != nil {
				return err
			}
		}
		if r.Cut() {
			if _, err := fmt.Fprintf(c.warn, "kube-nflog: NetworkPolicy %s/%s is too large: what only its last rules allow is not decided\n", o.Namespace, o.Name); err != nil {
				return err
			}
		}
		c.policies.Put(r)
	}
	return nil
}

// readPods reads the pods of a namespace, of all for "". Those that have ended
// have no address any more.
func (c *cluster) readPods(ctx context.Context, namespace string) error {
	if c.read[namespace] || c.read[""] {
		return nil
	}
	var pods corev1.PodList
	if err := list(ctx, c.Core, "pods", namespace, &pods); err != nil {
		return forbidden(err, "pods", namespace)
	}
	if namespace == "" {
		c.pods = nil
	}
	c.read[namespace] = true
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
			c.pods = append(c.pods, pod{podEnds(p), resolve.WorkloadOf(p)})
		}
	}
	return nil
}

// known are the ends of all pods that were read.
func (c *cluster) known() (ends []policy.End) {
	for i := range c.pods {
		ends = append(ends, c.pods[i].ends...)
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

// podEnds are a pod's addresses as policies see them. A pod on its node's network
// is the node. A pod that has no address yet is known by its labels.
func podEnds(p *corev1.Pod) []policy.End {
	e := policy.End{
		Kind: policy.Pod, Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Ports: resolve.PortsOf(p), NodeName: p.Spec.NodeName,
	}
	if p.Spec.HostNetwork {
		e.Kind = policy.Node // and its labels mean nothing
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
