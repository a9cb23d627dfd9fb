package dialect

import "strings"

const (
	k3sPrefix = "DROP by policy "
	// k3sRoom is how much iptables leaves of the policy's name.
	k3sRoom = 63 - len(k3sPrefix)
)

// parseK3s reads the prefix of k3s's rule at the end of a policy's chain: "DROP
// by policy <namespace>/<name>". What it logs another policy may still allow;
// if none does, the pod's rule logs it once more, without prefix.
func parseK3s(prefix string) (Said, bool) {
	policy, ok := strings.CutPrefix(prefix, k3sPrefix)
	if !ok {
		return Said{}, false
	}
	policy = strings.TrimRight(policy, " ")
	namespace, name, ok := strings.Cut(policy, "/")
	if !ok || namespace == "" || name == "" || strings.ContainsAny(policy, " \t") {
		return Said{}, false
	}
	return Said{Verdict: Denied, Kind: kindNetworkPolicy, Policy: policy, Cut: len(policy) >= k3sRoom, provisional: true}, true
}
