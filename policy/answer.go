package policy

import "time"

// Verdict is the result of the policies for one direction of a flow.
type Verdict uint8

// The verdicts.
const (
	// NoPod: the end is no pod, or its kind is not known.
	NoPod Verdict = iota
	// Unselected: no policy selects the pod in this direction, so everything is allowed.
	Unselected
	// Allowed: a policy allows the flow.
	Allowed
	// Exempt: policies select the pod, but no policy can deny traffic between a pod and
	// itself or its own node.
	Exempt
	// Denied: policies select the pod, and none allows the flow.
	Denied
	// Undecided: not enough is known about the other end.
	Undecided
)

// String returns the verdict as in a metric label.
func (v Verdict) String() string {
	return [...]string{"no_pod", "unselected", "allowed", "exempt", "denied", "undecided"}[v]
}

// Direction is the direction as seen from the pod that policies select.
type Direction uint8

// The directions.
const (
	Ingress Direction = iota
	Egress
)

// String returns "ingress" or "egress".
func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// Answer is the result of the policies for a flow.
type Answer struct {
	Ingress, Egress Side
}

// MaxNames bounds the number of policies in a Side.
const MaxNames = 16

// Side is the result of the policies for one direction.
type Side struct {
	Direction Direction
	Verdict   Verdict
	// Namespace is the namespace of the pod, and so of the policies.
	Namespace string
	// Policies are the names of the policies that select the pod in this direction, in
	// order. There are at most MaxNames; Count is the number of all.
	Policies []string
	Count    int
	// AllowedBy is the policy that has allowed the flow for the longest time. It is set
	// only for Allowed.
	AllowedBy string
	// Since is the time since which the flow is allowed. For Allowed it is the policy's
	// last change. For Unselected it is the time when a policy that selected the pod was
	// deleted or changed. It is zero if it is not known, and for other verdicts.
	Since time.Time
	// Nearest is the rule that is nearest to allowing the flow, nil if there is none. It is
	// set only for Denied.
	Nearest *Miss
}

// Miss is a rule that almost allows a flow.
type Miss struct {
	// Policy is the name of the rule's policy.
	Policy string
	// Peer reports that the rule allows the peer, but at other ports. Otherwise it allows
	// the port, but for other peers.
	Peer bool
	// Ports are the ports that the rule allows, such as "9090/TCP", "1000-2000/UDP" or
	// "http/TCP". Set iff Peer.
	Ports string
	// Peers are the peers that the rule allows. Set iff not Peer.
	Peers string
}
