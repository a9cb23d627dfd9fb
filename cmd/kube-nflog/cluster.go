package main

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

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// cluster is what explain has to know of one: the pods and policies of the
// namespaces in question. It lists and watches nothing.
type cluster struct {
	clients
	policies *policy.Set
	pods     []policy.End
	warn     io.Writer
}

// flow reads what is needed and makes the flow.
func (c *cluster) flow(ctx context.Context, t traffic) (policy.Flow, error) {
	if err := c.readNamespaces(ctx); err != nil {
		return policy.Flow{}, err
	}
	seen := map[string]bool{"": true}
	for _, namespace := range []string{t.from.namespace, t.to.namespace} {
		if seen[namespace] {
			continue
		}
		seen[namespace] = true
		if err := c.readNamespace(ctx, namespace); err != nil {
			return policy.Flow{}, err
		}
	}
	f := policy.Flow{Protocol: t.protocol, Port: t.port}
	var err error
	if f.Source, err = c.end(t.from); err != nil {
		return f, err
	}
	f.Destination, err = c.end(t.to)
	return f, err
}

// readNamespaces reads the labels of all namespaces. Whoever may not know them
// is told, as selectors may select by them.
func (c *cluster) readNamespaces(ctx context.Context) error {
	var namespaces corev1.NamespaceList
	err := list(ctx, c.core, "namespaces", "", &namespaces)
	if apierrors.IsForbidden(err) {
		_, err = fmt.Fprintf(c.warn, "kube-nflog: not allowed to list namespaces: their labels are taken for their names alone\n")
		return err
	}
	if err != nil {
		return err
	}
	for i := range namespaces.Items {
		c.policies.PutNamespace(namespaces.Items[i].Name, namespaces.Items[i].Labels)
	}
	return nil
}

// readNamespace reads the policies and pods of a namespace.
func (c *cluster) readNamespace(ctx context.Context, namespace string) error {
	var policies networkingv1.NetworkPolicyList
	if err := list(ctx, c.networking, "networkpolicies", namespace, &policies); err != nil {
		return err
	}
	for i := range policies.Items {
		r, err := policy.NewRecord(&policies.Items[i])
		if err != nil {
			if _, err := fmt.Fprintf(c.warn, "kube-nflog: what is invalid matches nothing: %v\n", err); err != nil {
				return err
			}
		}
		c.policies.Put(r)
	}
	var pods corev1.PodList
	if err := list(ctx, c.core, "pods", namespace, &pods); err != nil {
		return err
	}
	for i := range pods.Items {
		c.pods = append(c.pods, podEnd(&pods.Items[i]))
	}
	return nil
}

func list(ctx context.Context, client rest.Interface, resource, namespace string, into runtime.Object) error {
	err := client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).Do(ctx).Into(into)
	if err != nil {
		return fmt.Errorf("list %s: %w", resource, err)
	}
	return nil
}

// podEnd is a pod as policies see it. One on its node's network is the node.
func podEnd(p *corev1.Pod) policy.End {
	e := policy.End{
		Kind: policy.Pod, Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Ports: resolve.PortsOf(p), NodeName: p.Spec.NodeName,
	}
	if p.Spec.HostNetwork {
		e.Kind = policy.Node // and its labels mean nothing
	}
	// One that has no address yet is known by its labels.
	e.Addr, _ = netip.ParseAddr(p.Status.PodIP)
	return e
}

// end finds one end of the traffic.
func (c *cluster) end(t traffickedEnd) (policy.End, error) {
	if t.name == "" {
		return policy.End{Kind: policy.Outside, Addr: t.addr}, nil
	}
	for i := range c.pods {
		if e := c.pods[i]; e.Namespace == t.namespace && e.Name == t.name {
			return e, nil
		}
	}
	return policy.End{}, fmt.Errorf("there is no pod %s/%s", t.namespace, t.name)
}
