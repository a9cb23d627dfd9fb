package explain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// place is one thing that an end of the traffic stands for: a pod or node with
// all its addresses, or an address outside.
type place struct {
	ends []policy.End
	port uint16
	via  string // " of Service shop/api"
}

// find returns all places that an end stands for. other is the namespace of the
// other end.
func (c *cluster) find(ctx context.Context, e traffickedEnd, t traffic, other string) ([]place, error) {
	switch e.kind {
	case "":
		return c.findAddress(ctx, e, t, other)
	case kindNode:
		return c.findNode(ctx, e.name, t.port)
	case kindService:
		return c.findService(ctx, e, t)
	}
	if err := c.readPods(ctx, e.namespace); err != nil {
		return nil, err
	}
	var found []place
	for i := range c.pods {
		p := &c.pods[i]
		if e.kind == kindPod && p.ends[0].Namespace == e.namespace && p.ends[0].Name == e.name ||
			p.workload == e.namespace+"/"+e.kind+"/"+e.name {
			found = append(found, place{ends: p.ends, port: t.port})
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case e.kind == kindPod:
		return nil, fmt.Errorf("there is no pod %s/%s", e.namespace, e.name)
	}
	return nil, fmt.Errorf("there is no pod of %s %s/%s", e.kind, e.namespace, e.name)
}

func (c *cluster) findService(ctx context.Context, e traffickedEnd, t traffic) ([]place, error) {
	var services corev1.ServiceList
	if err := list(ctx, c.Core, "services", e.namespace, &services); err != nil {
		return nil, forbidden(err, "services", e.namespace)
	}
	for i := range services.Items {
		if services.Items[i].Name == e.name {
			return c.backends(ctx, &services.Items[i], t)
		}
	}
	return nil, fmt.Errorf("there is no Service %s/%s", e.namespace, e.name)
}

func (c *cluster) findNode(ctx context.Context, name string, port uint16) ([]place, error) {
	var nodes corev1.NodeList
	if err := list(ctx, c.Core, "nodes", "", &nodes); err != nil {
		return nil, forbidden(err, "nodes", "")
	}
	for i := range nodes.Items {
		if ends := nodeEnds(&nodes.Items[i]); nodes.Items[i].Name == name && len(ends) > 0 {
			return []place{{ends: ends, port: port}}, nil
		}
	}
	return nil, fmt.Errorf("there is no node %s with an address", name)
}

func nodeEnds(n *corev1.Node) (ends []policy.End) {
	for _, a := range n.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			ends = append(ends, policy.End{Kind: policy.Node, Name: n.Name, NodeName: n.Name, Addr: addr})
		}
	}
	return ends
}

// findAddress looks for who has an address: pods, nodes, Services. It is outside
// if nobody has it, and everybody could be asked.
func (c *cluster) findAddress(ctx context.Context, e traffickedEnd, t traffic, other string) ([]place, error) {
	outside := []place{{ends: []policy.End{{Kind: policy.Outside, Addr: e.addr}}, port: t.port}}
	if e.external {
		return outside, nil
	}
	var hidden []string
	// may goes on without what is forbidden.
	may := func(what string, err error) error {
		if !errors.As(err, new(UnknownError)) {
			return err
		}
		if !slices.Contains(hidden, what) {
			hidden = append(hidden, what)
		}
		return nil
	}
	err := c.readPods(ctx, "")
	if errors.As(err, new(UnknownError)) && other != "" {
		hidden, err = append(hidden, "pods"), c.readPods(ctx, other)
	}
	if err := may("pods", err); err != nil {
		return nil, err
	}
	found := c.havePod(e.addr, t.port)
	node, err := c.haveNode(ctx, e.addr, t.port)
	if err := may("nodes", err); err != nil {
		return nil, err
	}
	if node != nil {
		found = node // also of pods on its network
	}
	services, err := c.servicesAt(ctx, e.addr, other, len(found) == 0)
	if err := may("services", err); err != nil {
		return nil, err
	}
	for i := range services {
		backends, err := c.backends(ctx, &services[i], t)
		if err != nil {
			return nil, err
		}
		found = append(found, backends...)
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(hidden) > 0:
		return nil, UnknownError{fmt.Errorf("cannot tell what %s is: you may not list %s in all namespaces; if it is outside the cluster, say external:%[1]s",
			e.addr, strings.Join(hidden, ", "))}
	}
	return outside, nil
}

func (c *cluster) havePod(addr netip.Addr, port uint16) (found []place) {
	for i := range c.pods {
		for _, end := range c.pods[i].ends {
			if end.Addr == addr {
				found = append(found, place{ends: []policy.End{end}, port: port})
			}
		}
	}
	return found
}

func (c *cluster) haveNode(ctx context.Context, addr netip.Addr, port uint16) ([]place, error) {
	var nodes corev1.NodeList
	if err := list(ctx, c.Core, "nodes", "", &nodes); err != nil {
		return nil, forbidden(err, "nodes", "")
	}
	for i := range nodes.Items {
		for _, end := range nodeEnds(&nodes.Items[i]) {
			if end.Addr == addr {
				return []place{{ends: []policy.End{end}, port: port}}, nil
			}
		}
	}
	return nil, nil
}

// servicesAt returns the Services that have an address: as a cluster IP, or if no
// other has it, by what their owners may write.
func (c *cluster) servicesAt(ctx context.Context, addr netip.Addr, other string, claims bool) (found []corev1.Service, err error) {
	var services corev1.ServiceList
	refused := forbidden(list(ctx, c.Core, "services", "", &services), "services", "")
	if refused != nil && (!errors.As(refused, new(UnknownError)) || other == "") {
		return nil, refused
	}
	if refused != nil {
		if err := list(ctx, c.Core, "services", other, &services); err != nil {
			return nil, refused
		}
	}
	var claiming []corev1.Service
	for i := range services.Items {
		s := &services.Items[i]
		announced := s.Spec.ExternalIPs
		for _, in := range s.Status.LoadBalancer.Ingress {
			announced = append(announced, in.IP)
		}
		switch {
		case hasAddress(append(s.Spec.ClusterIPs, s.Spec.ClusterIP), addr):
			found = append(found, *s)
		case hasAddress(announced, addr):
			claiming = append(claiming, *s)
		}
	}
	if len(found) == 0 && claims {
		found = claiming
	}
	if len(found) == 0 {
		return nil, refused
	}
	return found, nil
}

func hasAddress(texts []string, addr netip.Addr) bool {
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil && a == addr {
			return true
		}
	}
	return false
}

// backends are the pods of a Service, each at the port that the Service's leads to.
func (c *cluster) backends(ctx context.Context, s *corev1.Service, t traffic) ([]place, error) {
	name := "Service " + s.Namespace + "/" + s.Name
	if len(s.Spec.Selector) == 0 {
		return nil, UnknownError{fmt.Errorf("cannot tell: %s selects no pods; ask about the addresses of its EndpointSlices", name)}
	}
	port, ok := portOf(s, t)
	if !ok {
		return nil, fmt.Errorf("%s has no port %d/%s; it has %s", name, t.port, t.protocol, portsText(s))
	}
	if err := c.readPods(ctx, s.Namespace); err != nil {
		return nil, err
	}
	selector := labels.SelectorFromSet(s.Spec.Selector)
	var found []place
	for i := range c.pods {
		p := &c.pods[i]
		if p.ends[0].Namespace != s.Namespace || !selector.Matches(p.ends[0].Labels) {
			continue
		}
		if number := targetOf(&p.ends[0], port); number != 0 {
			found = append(found, place{ends: p.ends, port: number, via: " of " + name})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no pods with that port", name)
	}
	return found, nil
}

// portOf finds the Service's port. A headless Service passes all of them on.
func portOf(s *corev1.Service, t traffic) (corev1.ServicePort, bool) {
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		return corev1.ServicePort{Port: int32(t.port), Protocol: t.protocol}, true
	}
	for _, p := range s.Spec.Ports {
		if p.Port == int32(t.port) && (p.Protocol == t.protocol || p.Protocol == "" && t.protocol == corev1.ProtocolTCP) {
			return p, true
		}
	}
	return corev1.ServicePort{}, false
}

func portsText(s *corev1.Service) string {
	var all []string
	for _, p := range s.Spec.Ports {
		all = append(all, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
	}
	return strings.Join(all, ", ")
}

// targetOf is the pod's port that a Service's leads to, 0 if the pod has none of
// that name.
func targetOf(e *policy.End, p corev1.ServicePort) uint16 {
	switch {
	case p.TargetPort.Type == intstr.String:
		named, _ := e.Ports.(resolve.PortSet)
		return named.NumberOf(string(p.Protocol), p.TargetPort.StrVal)
	case p.TargetPort.IntVal != 0:
		return uint16(p.TargetPort.IntVal)
	}
	return uint16(p.Port)
}
