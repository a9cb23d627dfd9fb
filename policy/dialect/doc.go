// Package dialect parses what the prefixes of firewall rules say. Its input is NFLOG
// prefixes and flows. Its output is actions and policies, and one flow for packets that
// several rules logged.
//
// Each network plugin logs in its own way: k3s names the policy, and logs a packet again
// for the pod; Calico also logs allowed packets; kube-router has no prefix. A Parser may be
// used by several goroutines, a Merger by one.
package dialect
