// Package dialect reads what firewall rules say of themselves. In go NFLOG
// prefixes and flows; out come verdicts and policies, and of several records of
// the same packets one.
//
// Who writes a cluster's rules has a way of his own to log: k3s names the policy
// and logs a packet once more for the pod, Calico tells of allowed packets too,
// kube-router says nothing at all. A Parser may be used by several goroutines, a
// Merger by one.
package dialect
