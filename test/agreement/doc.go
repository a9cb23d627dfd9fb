// Package agreement compares what the package policy says of flows in random
// clusters with what the sigs.k8s.io/kube-network-policies library says, which
// enforces NetworkPolicies on nodes.
package agreement
