// Package agreement compares package policy with the library
// sigs.k8s.io/kube-network-policies, which enforces NetworkPolicies on nodes. Both evaluate
// random flows in random clusters.
package agreement
