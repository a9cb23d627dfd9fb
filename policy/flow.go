package policy

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Flow is the traffic to evaluate, from the end that opens the connection to the other end.
type Flow struct {
	Source, Destination End
	// Protocol is TCP, UDP or SCTP. For other protocols only rules without ports apply.
	Protocol corev1.Protocol
	// Port is the destination's port, after the translation of a Service's address.
	Port uint16
}

// Kind is the kind of an End for NetworkPolicies.
type Kind uint8

// The kinds of End.
const (
	// Outside is an address that belongs to no pod.
	Outside Kind = iota
	// Pod is a pod with its own address.
	Pod
	// Node is a node, or a pod on the node's network. No selector selects it, and no policy
	// can deny its traffic with its own pods.
	Node
	// Service is an address that stands for unknown pods.
	Service
	// Unknown may be anything, also a pod.
	Unknown
)

// End is one end of a Flow.
type End struct {
	Kind Kind
	Addr netip.Addr
	// Namespace and Name are a pod's.
	Namespace, Name string
	// Labels are a pod's.
	Labels labels.Set
	// Ports has the names of a pod's container ports; nil for none.
	Ports NamedPorts
	// NodeName is the node on which a pod runs, or the name of the Node itself.
	NodeName string
}

// NamedPorts has the names of a pod's container ports.
type NamedPorts interface {
	// NamesOf returns the names of that port in the pod's containers.
	NamesOf(protocol string, port uint16) []string
}
