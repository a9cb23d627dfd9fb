// Package policy tells what a cluster's NetworkPolicies (networking.k8s.io/v1)
// say of a flow. In go NetworkPolicies and the labels of Namespaces, as the
// API server has them; out comes, for each direction, which policies select
// the pod, whether one of them allows the flow, and if none does, which one
// comes nearest to it.
//
// It knows what the API's documentation promises and nothing of how a cluster
// enforces it. A Set may be used from several goroutines; the answers are
// values of their own.
package policy
