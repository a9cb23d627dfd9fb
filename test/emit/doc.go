// Package emit tests the emitter against a real kube-apiserver, with the
// ServiceAccount and the RBAC of deploy/, and what it writes with the real
// kubectl. Flows and endpoints are made up; everything behind them is real.
package emit
