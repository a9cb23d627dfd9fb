// Package event writes dropped flows as Kubernetes events on the pods concerned.
//
// A Sink has a correlator. For each (pod, direction, peer, port or ICMP type) the
// correlator has one entry, which mirrors one event object. Add only counts in the
// correlator, and never waits for the API server. Run writes what is due, with a constant
// number of goroutines. The calls of the node have a limit that adapts to the API server,
// and each pod has a limit too. If a write fails, its count stays in the correlator, so
// that an outage costs neither counts nor memory. Flows beyond the correlator's bounds are
// summed up in one aggregate event for each pod and direction.
//
// Every packet counts once for each end of its flow, source and destination. Each end is
// either accepted for an event, or counted as suppressed by reason. Accepted packets are
// written, unwritten by reason, or pending:
//
//	2 × drops = accepted + suppressed
//	accepted  = written + unwritten + pending
//
// Several goroutines may call Add. One may call Run, and after Run has returned one may
// call Flush.
package event
