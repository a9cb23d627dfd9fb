package resolve

import "net/netip"

// Kind is the kind of owner that an address has.
type Kind uint8

// The kinds of endpoint.
const (
	Unknown Kind = iota // nothing is known, or two owners are possible
	Pod
	Node
	Service
	External
)

// String returns the kind as the JSON line writes it.
func (k Kind) String() string {
	switch k {
	case Pod:
		return "Pod"
	case Node:
		return "Node"
	case Service:
		return "Service"
	case External:
		return "External"
	}
	return "Unknown"
}

// Endpoint is the owner of an address at a point in time.
type Endpoint struct {
	IP   netip.Addr
	Kind Kind
	// Namespace and Name are those of the Pod or Service. For a Node only Name is set. For
	// an external host Name is its sanitised reverse DNS name.
	Namespace, Name string
	// UID is the value by which kubectl describe selects a pod's events: the pod's UID, or
	// for a mirror pod its annotation kubernetes.io/config.mirror. Set only for pods.
	UID string
	// Workload is the controlling object, "Deployment/frontend"; "" for none.
	Workload string
	// Identifier is the pod's text for messages, by --pod-identifier.
	Identifier string
	// NodeName is the node on which a pod runs.
	NodeName string
	// Labels and Ports are those of a pod, if Config.PodLabels asks for them.
	Labels LabelSet
	Ports  PortSet
	// Partial reports that the pod has more labels or named ports than are kept. Labels and
	// Ports are then empty.
	Partial bool
	// EventsDisabled reports that the pod wants no events, by its annotation
	// kube-nflog/events: "false". Without that annotation the one of its namespace applies.
	EventsDisabled bool
	// Ambiguous reports that two owners were possible. Kind is then Unknown.
	Ambiguous bool
}
