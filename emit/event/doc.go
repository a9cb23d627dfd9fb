// Package event writes dropped flows as Kubernetes events on the pods concerned.
//
// A Sink keeps one entry for each pod, direction, peer, and port or ICMP type.
// An entry mirrors one event object.
//
//  1. Add adds a flow to the entries of its two ends. It never waits for the API
//     server.
//  2. Run writes the entries that are due, with a fixed number of goroutines. A
//     limiter for the node, which adapts to the API server, and one for each pod
//     bound the writes.
//  3. A write that fails leaves its count in the entry. So an outage costs neither
//     counts nor memory.
//  4. Everything is bounded. Flows that find no room for an entry of their own are
//     summed up in one aggregate for each pod and direction.
//
// Every packet is accounted for. A flow has two ends, its source and its
// destination. Each end is either accepted for an event or suppressed, by reason.
// Accepted packets are written, unwritten (by reason), or pending:
//
//	2 × drops = accepted + suppressed
//	accepted  = written + unwritten + pending
//
// Several goroutines may call Add. One goroutine calls Run, and after Run has
// returned, Flush.
package event
