// Package policy evaluates a cluster's NetworkPolicies (networking.k8s.io/v1) for a flow.
// Its input is NetworkPolicies and the labels of Namespaces, as the API server has them.
// Its output says for each direction which policies select the pod, whether one of them
// allows the flow, and if none does, which rule is nearest to allowing it.
//
// It implements what the API's documentation promises. It knows nothing about how a cluster
// enforces policies. A Set may be used from several goroutines. Answers share nothing with
// it.
package policy
