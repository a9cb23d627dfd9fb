package policy

// Reason says why a flow was dropped.
type Reason struct {
	// Code is the kind of reason, for programs; "" if nobody has asked.
	Code ReasonCode
	// Text continues a sentence: "denied by NetworkPolicy shop/api-ingress (no rule allows
	// it)". It is "" if nothing is known. Text and Policies may contain names that only the
	// platform may know.
	Text string
	// Policies are the policies that denied the flow, as "namespace/name"; nil for none.
	Policies []string

	// Source and Destination are what the owners of the flow's two ends may read. Node is
	// what readers of a node's events may read. They are set if namespaces are hidden from
	// each other.
	Source, Destination, Node View

	// AtLeast reports whether a rule that logs such packets has a limit, so that there may
	// have been more packets than were counted. Limit is that limit, such as "10/minute",
	// or "" if only its existence is known.
	AtLeast bool
	Limit   string
}

// View is the part of a reason that the owners of one end may read.
type View struct {
	Text       string // as Reason.Text
	HidePrefix bool   // the rule's prefix contains names that they may not know
}

// ReasonCode is a kind of reason. Codes do not change once released: JSON lines,
// events and metrics have them, so that no program has to parse a text.
type ReasonCode string

// The codes of reasons.
const (
	// ReasonDeniedIngress: policies that select the receiving pod deny the flow.
	ReasonDeniedIngress ReasonCode = "denied_ingress"
	// ReasonDeniedEgress: policies that select the sending pod deny the flow.
	ReasonDeniedEgress ReasonCode = "denied_egress"
	// ReasonDeniedBoth: policies that select either pod deny the flow.
	ReasonDeniedBoth ReasonCode = "denied_both"
	// ReasonAllowed: no policy denies the flow, so another rule did.
	ReasonAllowed ReasonCode = "allowed"
	// ReasonAllowedLately: policies have allowed the flow for so short a time
	// that the node may not have known it.
	ReasonAllowedLately ReasonCode = "allowed_lately"
	// ReasonUnselected: no policy selects either pod, so another rule denied the
	// flow.
	ReasonUnselected ReasonCode = "unselected"
	// ReasonRule: the prefix of the rule that logged the packets says why.
	ReasonRule ReasonCode = "rule"
	// ReasonUnknown: nothing is known.
	ReasonUnknown ReasonCode = "unknown"
)

// ReasonCodes returns all codes.
func ReasonCodes() []ReasonCode {
	return []ReasonCode{
		ReasonDeniedIngress, ReasonDeniedEgress, ReasonDeniedBoth, ReasonAllowed,
		ReasonAllowedLately, ReasonUnselected, ReasonRule, ReasonUnknown,
	}
}
