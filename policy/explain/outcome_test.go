package explain

import (
	"strings"
	"testing"

	"github.com/kube-nflog/kube-nflog/policy"
)

// TestOutcome checks that nothing undecided is called allowed.
func TestOutcome(t *testing.T) {
	side := func(d policy.Direction, v policy.Verdict) policy.Side {
		return policy.Side{Direction: d, Verdict: v, Namespace: "shop", Policies: []string{"p"}, Count: 1, AllowedBy: "p"}
	}
	tests := []struct {
		in, out, want policy.Verdict
		begins        string
	}{
		{policy.Allowed, policy.NoPod, policy.Allowed, "allowed: egress is no pod's; ingress by NetworkPolicy shop/p"},
		{policy.Exempt, policy.Unselected, policy.Allowed, "allowed: no NetworkPolicy selects the pod for egress; ingress always"},
		{policy.Undecided, policy.Allowed, policy.Undecided, "cannot tell: egress by NetworkPolicy shop/p; ingress depends"},
		{policy.NoPod, policy.Undecided, policy.Undecided, "cannot tell: egress depends"},
		{policy.Denied, policy.Undecided, policy.Denied, "denied by NetworkPolicy shop/p"},
	}
	for _, tt := range tests {
		text, got := Outcome(&policy.Answer{Ingress: side(policy.Ingress, tt.in), Egress: side(policy.Egress, tt.out)})
		if got != tt.want || !strings.HasPrefix(text, tt.begins) {
			t.Errorf("ingress %v, egress %v: %v, %q; want %v, %q…", tt.in, tt.out, got, text, tt.want, tt.begins)
		}
	}
}
