package policy

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Flow is traffic to judge: from the end that opens the connection to the one
// that answers.
type Flow struct {
	Source, Destination End
	// Protocol is TCP, UDP or SCTP; for anything else only rules that name no
	// port can say something.
	Protocol corev1.Protocol
	// Port is the destination's, after any translation of a Service's address.
	Port uint16
}

// Kind says what an End is to NetworkPolicies.
type Kind uint8

// The kinds of End.
const (
	// Outside is an address that is no pod's.
	Outside Kind = iota
	// Pod is a pod with an address of its own.
	Pod
	// Node is a node, or a pod on its network: no selector selects it, and its
	// own pods let it in whatever the policies say.
	Node
	// Service is an address that stands for pods that are not known.
	Service
	// Unknown may be anything, a pod too.
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
	// Ports has the names of a pod's container ports; nil stands for none.
	Ports NamedPorts
	// NodeName is the node that a pod runs on, or the Node's name.
	NodeName string
}

// NamedPorts has the names of a pod's container ports.
type NamedPorts interface {
	// NamesOf returns what containers call that port.
	NamesOf(protocol string, port uint16) []string
}
