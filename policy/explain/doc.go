// Package explain finds out why a flow was dropped. Its input is a flow with its endpoints,
// and what the prefixes of the rules say. Its output is a Reason: the NetworkPolicies that
// deny the flow and the rule that is nearest to allowing it, or that no policy denies it
// and the node's own rule does.
//
// Run watches NetworkPolicies and Namespaces in the API server. Explain answers from memory
// and never waits. Explain may be called from several goroutines, Run once.
package explain
