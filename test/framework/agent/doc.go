// Package agent builds the real kube-nflog and runs it as a process of its own
// in a node's network namespace, as the DaemonSet would, for tests and the
// demo: its output, its health and its metrics come out as values.
//
// Methods of an Agent may be called concurrently.
package agent
