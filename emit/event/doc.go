// Package event tells owners about drops. In go flows with the two endpoints
// they resolved to; out come Kubernetes events on the pods concerned.
//
// An Sink keeps a correlator: for every (pod, direction, peer, port or ICMP
// kind) one entry, which mirrors one event object. Add only counts in the
// correlator and never waits for the API server. Run writes what is due, one
// object at a time through a constant number of goroutines, within a limit
// for the node, which adapts to the API server, and one for each pod. A write that fails leaves its count in
// the correlator, so an outage costs neither counts nor memory; what the correlator's
// bounds displace is summed up in one aggregate event per pod and direction.
//
// Every packet is accounted for, by end: a flow has two ends, its source and
// its destination, and each either is accepted for an event or counted as
// suppressed by reason. What was accepted is written, unwritten by reason, or
// pending:
//
//	2 × drops = accepted + suppressed
//	accepted  = written + unwritten + pending
//
// Add may be called from several goroutines; Run from one; Flush from one,
// after Run has returned.
package event
