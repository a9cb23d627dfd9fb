package dialect

import "strings"

const (
	k3sPrefix = "DROP by policy "
	// k3sRoom is the length at which iptables cuts the policy's name.
	k3sRoom = 63 - len(k3sPrefix)
)

// parseK3s parses the prefix of k3s's rule at the end of a policy's chain: "DROP by policy
// <namespace>/<name>". Another policy may still allow the packet. If none does, the pod's
// rule logs the packet again, without a prefix.
func parseK3s(prefix string) (PrefixInfo, bool) {
	policy, ok := strings.CutPrefix(prefix, k3sPrefix)
	if !ok {
		return PrefixInfo{}, false
	}
	policy = strings.TrimRight(policy, " ")
	namespace, name, ok := strings.Cut(policy, "/")
	if !ok || namespace == "" || name == "" || strings.ContainsAny(policy, " \t") {
		return PrefixInfo{}, false
	}
	return PrefixInfo{Action: Denied, Kind: kindNetworkPolicy, Policy: policy, Cut: len(policy) >= k3sRoom, provisional: true}, true
}
