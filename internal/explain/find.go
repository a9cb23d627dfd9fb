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

// resolvedEnd is one object that an end of the question stands for: a pod or a node
// with all its addresses, or an address outside of the cluster.
type resolvedEnd struct {
	ends []policy.End
	port uint16
	via  string // the Service that leads to it, such as " of Service shop/api"; "" for none
}

// find returns all objects that an end stands for. other is the namespace of the
// other end.
func (s *snapshot) find(ctx context.Context, e endName, q *question, other string) ([]resolvedEnd, error) {
	switch e.kind {
	case "":
		return s.findAddress(ctx, e, q, other)
	case kindNode:
		return s.findNode(ctx, e.name, q.port)
	case kindService:
		return s.findService(ctx, e, q)
	}
	if err := s.readPods(ctx, e.namespace); err != nil {
		return nil, err
	}
	var found []resolvedEnd
	for i := range s.pods {
		p := &s.pods[i]
		if e.kind == kindPod && p.ends[0].Namespace == e.namespace && p.ends[0].Name == e.name ||
			p.workload == e.namespace+"/"+e.kind+"/"+e.name {
			found = append(found, resolvedEnd{ends: p.ends, port: q.port})
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

func (s *snapshot) findService(ctx context.Context, e endName, q *question) ([]resolvedEnd, error) {
	var services corev1.ServiceList
	if err := list(ctx, s.Core, "services", e.namespace, &services); err != nil {
		return nil, forbidden(err, "services", e.namespace)
	}
	for i := range services.Items {
		if services.Items[i].Name == e.name {
			return s.backends(ctx, &services.Items[i], q)
		}
	}
	return nil, fmt.Errorf("there is no Service %s/%s", e.namespace, e.name)
}

func (s *snapshot) findNode(ctx context.Context, name string, port uint16) ([]resolvedEnd, error) {
	var nodes corev1.NodeList
	if err := list(ctx, s.Core, "nodes", "", &nodes); err != nil {
		return nil, forbidden(err, "nodes", "")
	}
	for i := range nodes.Items {
		if ends := nodeEnds(&nodes.Items[i]); nodes.Items[i].Name == name && len(ends) > 0 {
			return []resolvedEnd{{ends: ends, port: port}}, nil
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

// findAddress finds the pods, the node and the Services that have an address. The
// address is outside of the cluster if none of them has it. That cannot be told if
// some of them may not be listed.
func (s *snapshot) findAddress(ctx context.Context, e endName, q *question, other string) ([]resolvedEnd, error) {
	outside := []resolvedEnd{{ends: []policy.End{{Kind: policy.Outside, Addr: e.addr}}, port: q.port}}
	if e.external {
		return outside, nil
	}
	var hidden []string
	// allow returns nil if err is only that the objects may not be listed.
	allow := func(what string, err error) error {
		if !errors.As(err, new(UnknownError)) {
			return err
		}
		if !slices.Contains(hidden, what) {
			hidden = append(hidden, what)
		}
		return nil
	}
	err := s.readPods(ctx, "")
	if errors.As(err, new(UnknownError)) && other != "" {
		hidden, err = append(hidden, "pods"), s.readPods(ctx, other)
	}
	if err := allow("pods", err); err != nil {
		return nil, err
	}
	found := s.havePod(e.addr, q.port)
	node, err := s.haveNode(ctx, e.addr, q.port)
	if err := allow("nodes", err); err != nil {
		return nil, err
	}
	if node != nil {
		found = node // pods on the node's network have its address too
	}
	services, err := s.servicesAt(ctx, e.addr, other, len(found) == 0)
	if err := allow("services", err); err != nil {
		return nil, err
	}
	for i := range services {
		backends, err := s.backends(ctx, &services[i], q)
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

func (s *snapshot) havePod(addr netip.Addr, port uint16) (found []resolvedEnd) {
	for i := range s.pods {
		for _, end := range s.pods[i].ends {
			if end.Addr == addr {
				found = append(found, resolvedEnd{ends: []policy.End{end}, port: port})
			}
		}
	}
	return found
}

func (s *snapshot) haveNode(ctx context.Context, addr netip.Addr, port uint16) ([]resolvedEnd, error) {
	var nodes corev1.NodeList
	if err := list(ctx, s.Core, "nodes", "", &nodes); err != nil {
		return nil, forbidden(err, "nodes", "")
	}
	for i := range nodes.Items {
		for _, end := range nodeEnds(&nodes.Items[i]) {
			if end.Addr == addr {
				return []resolvedEnd{{ends: []policy.End{end}, port: port}}, nil
			}
		}
	}
	return nil, nil
}

// servicesAt returns the Services that have an address as a cluster IP. If there are
// none and nothing else has the address, it returns the Services that claim it by
// fields which their owners may write.
func (s *snapshot) servicesAt(ctx context.Context, addr netip.Addr, other string, mayClaim bool) (found []corev1.Service, err error) {
	var services corev1.ServiceList
	refused := forbidden(list(ctx, s.Core, "services", "", &services), "services", "")
	if refused != nil && (!errors.As(refused, new(UnknownError)) || other == "") {
		return nil, refused
	}
	if refused != nil {
		if err := list(ctx, s.Core, "services", other, &services); err != nil {
			return nil, refused
		}
	}
	var claiming []corev1.Service
	for i := range services.Items {
		service := &services.Items[i]
		claimed := service.Spec.ExternalIPs
		for _, in := range service.Status.LoadBalancer.Ingress {
			claimed = append(claimed, in.IP)
		}
		switch {
		case hasAddress(append(service.Spec.ClusterIPs, service.Spec.ClusterIP), addr):
			found = append(found, *service)
		case hasAddress(claimed, addr):
			claiming = append(claiming, *service)
		}
	}
	if len(found) == 0 && mayClaim {
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

// backends returns the pods of a Service, each with the port that the Service's port
// leads to.
func (s *snapshot) backends(ctx context.Context, service *corev1.Service, q *question) ([]resolvedEnd, error) {
	name := "Service " + service.Namespace + "/" + service.Name
	if len(service.Spec.Selector) == 0 {
		return nil, UnknownError{fmt.Errorf("cannot tell: %s selects no pods; ask about the addresses of its EndpointSlices", name)}
	}
	port, ok := portOf(service, q)
	if !ok {
		return nil, fmt.Errorf("%s has no port %d/%s; it has %s", name, q.port, q.protocol, portsText(service))
	}
	if err := s.readPods(ctx, service.Namespace); err != nil {
		return nil, err
	}
	selector := labels.SelectorFromSet(service.Spec.Selector)
	var found []resolvedEnd
	for i := range s.pods {
		p := &s.pods[i]
		if p.ends[0].Namespace != service.Namespace || !selector.Matches(p.ends[0].Labels) {
			continue
		}
		if number := targetOf(&p.ends[0], port); number != 0 {
			found = append(found, resolvedEnd{ends: p.ends, port: number, via: " of " + name})
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no pods with that port", name)
	}
	return found, nil
}

// portOf finds the Service's port that the question names. A headless Service has
// every port.
func portOf(s *corev1.Service, q *question) (corev1.ServicePort, bool) {
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		return corev1.ServicePort{Port: int32(q.port), Protocol: q.protocol}, true
	}
	for _, p := range s.Spec.Ports {
		if p.Port == int32(q.port) && (p.Protocol == q.protocol || p.Protocol == "" && q.protocol == corev1.ProtocolTCP) {
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

// targetOf returns the pod's port that a Service's port leads to, 0 if the pod has no
// port of that name.
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
