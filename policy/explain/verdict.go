package explain

import "github.com/kube-nflog/kube-nflog/policy"

// Verdict says what policies make of a flow that has not been sent: whether it
// is allowed, by what, and if it is denied, as Reason.Text has it.
func Verdict(a *policy.Answer) (text string, allowed bool) {
	if denied := Denial(a); denied != nil {
		return denied.Text, false
	}
	return "allowed: " + passage(&a.Egress) + "; " + passage(&a.Ingress), true
}

// passage says why one direction is allowed.
func passage(s *policy.Side) string {
	switch s.Verdict {
	case policy.Allowed:
		return s.Direction.String() + " by NetworkPolicy " + s.Namespace + "/" + s.AllowedBy
	case policy.Unselected:
		return "no NetworkPolicy selects the pod for " + s.Direction.String()
	case policy.Exempt:
		return s.Direction.String() + " always, between a pod and itself or its own node"
	case policy.Undecided:
		return s.Direction.String() + " depends on the pods that the address stands for"
	}
	return s.Direction.String() + " is no pod's"
}
