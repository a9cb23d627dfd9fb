package policy

import "time"

// Verdict is what the policies say of one direction of a flow.
type Verdict uint8

// The verdicts.
const (
	// NoPod: the end is no pod, or it is not known what it is.
	NoPod Verdict = iota
	// Unselected: no policy selects the pod in this direction, so that
	// everything is allowed.
	Unselected
	// Allowed: a policy allows the flow.
	Allowed
	// Exempt: policies select the pod, but they cannot keep it from itself, nor
	// its own node from it.
	Exempt
	// Denied: policies select the pod and none allows the flow.
	Denied
	// Undecided: too little is known of the other end to tell.
	Undecided
)

// String returns the verdict as a metric label has it.
func (v Verdict) String() string {
	return [...]string{"no_pod", "unselected", "allowed", "exempt", "denied", "undecided"}[v]
}

// Direction is seen from the pod that policies select.
type Direction uint8

// The directions.
const (
	Ingress Direction = iota
	Egress
)

// String returns "ingress" or "egress".
func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// Answer is what the policies say of a flow.
type Answer struct {
	Ingress, Egress Side
}

// MaxNames bounds the policies that a Side names.
const MaxNames = 16

// Side is what the policies say of one direction.
type Side struct {
	Direction Direction
	Verdict   Verdict
	// Namespace is the pod's, and so the policies'.
	Namespace string
	// Policies are the names of those that select the pod in this direction,
	// in order, the first MaxNames of them; Count is how many there are.
	Policies []string
	Count    int
	// AllowedBy is the one that has allowed the flow for longest; set for
	// Allowed alone.
	AllowedBy string
	// Since is when the flow came to be allowed: the policy's last change, or
	// for Unselected when one that selected the pod was deleted or changed. It
	// is the zero time where that is not known. Set for Allowed and Unselected.
	Since time.Time
	// Nearest is the rule that comes nearest to allowing the flow, nil where
	// none does; set for Denied alone.
	Nearest *Miss
}

// Miss is a rule that nearly allows a flow.
type Miss struct {
	// Policy is the name of the rule's policy.
	Policy string
	// Peer says that the rule allows the peer, but at other ports; else it
	// allows the port, but from or to other peers.
	Peer bool
	// Ports are those that the rule allows, "9090/TCP" or "1000-2000/UDP" or
	// "http/TCP"; set iff Peer.
	Ports string
	// Peers are those that the rule allows; set iff not Peer.
	Peers string
}
