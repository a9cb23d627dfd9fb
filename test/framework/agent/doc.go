// Package agent builds the real kube-nflog for tests and the demo. It runs it as a
// process in a node's network namespace, as the DaemonSet does, and returns its output,
// its health and its metrics as values.
//
// Methods of an Agent may be called concurrently.
package agent
