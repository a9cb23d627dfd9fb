package explain

import "github.com/kube-nflog/kube-nflog/policy"

// Outcome returns the result of the policies for a flow that has not been sent: whether it
// is Allowed, Denied or Undecided, and by what. If it is denied, the text is that of
// Reason.Text.
func Outcome(a *policy.Answer) (text string, verdict policy.Verdict) {
	if denied := Denial(a); denied != nil {
		return denied.Text, policy.Denied
	}
	passages := passage(&a.Egress) + "; " + passage(&a.Ingress)
	if a.Egress.Verdict == policy.Undecided || a.Ingress.Verdict == policy.Undecided {
		return "cannot tell: " + passages, policy.Undecided
	}
	return "allowed: " + passages, policy.Allowed
}

// passage returns why one direction is allowed.
func passage(s *policy.Side) string {
	switch s.Verdict {
	case policy.Allowed:
		return s.Direction.String() + " by NetworkPolicy " + s.Namespace + "/" + s.AllowedBy
	case policy.Unselected:
		return "no NetworkPolicy selects the pod for " + s.Direction.String()
	case policy.Exempt:
		return s.Direction.String() + " always, between a pod and itself or its own node"
	case policy.Undecided:
		return s.Direction.String() + " depends on what is not known of the other end, or of too large policies"
	}
	return s.Direction.String() + " is no pod's"
}
