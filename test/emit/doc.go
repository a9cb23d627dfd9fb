// Package emit tests the writing of events with a real kube-apiserver, and with the
// ServiceAccount and the RBAC of deploy/. It checks the events with the real kubectl. Only
// flows and endpoints are made up.
package emit
