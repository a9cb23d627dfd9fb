package resolve

import "net/netip"

// Kind says what an address turned out to be.
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

// Endpoint is what an address resolved to at a point in time.
type Endpoint struct {
	IP   netip.Addr
	Kind Kind
	// Namespace and Name name the Pod or Service; Name alone names the Node,
	// or the external host by its sanitised reverse DNS name.
	Namespace, Name string
	// UID is the value by which kubectl describe selects a pod's events: the
	// pod's UID, for a mirror pod its kubernetes.io/config.mirror annotation.
	// Set for pods alone.
	UID string
	// Workload is the controlling object, "Deployment/frontend"; "" for none.
	Workload string
	// Identifier is the pod's text for messages, as --pod-identifier says.
	Identifier string
	// NodeName is the node that a pod runs on.
	NodeName string
	// Labels and Ports are a pod's, where Config.PodLabels asks for them.
	Labels LabelSet
	Ports  PortSet
	// Partial says that the pod has more labels or named ports than are kept,
	// so that there are none here.
	Partial bool
	// EventsDisabled says that the pod wants no events: by its annotation
	// kube-nflog/events, "false", or, where it has none, by its namespace's.
	EventsDisabled bool
	// Ambiguous says that two owners were possible, so that Kind is Unknown.
	Ambiguous bool
}
