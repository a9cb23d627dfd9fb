// Package explain says why a flow was dropped. In go flows with the endpoints
// they resolved to and what their rules' prefixes say; out comes a Reason: the
// NetworkPolicies that deny the flow and the rule that comes nearest to
// allowing it, or that none does and the node's own rule is to blame.
//
// It learns of NetworkPolicies and Namespaces from watches of the API server,
// which Run keeps going. Explain answers from memory and never waits; it may be
// called from several goroutines, Run once.
package explain
