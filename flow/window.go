package flow

import (
	"iter"
	"time"
)

// Window is a batch of flows for the consumer, which calls Release when it is
// done. A flow that was handed on early comes again at the window's end with
// what was added since, if anything.
type Window struct {
	entries  *list
	prefixes []string
	release  func()
}

// Release gives the window's memory back to the table.
func (w Window) Release() { w.release() }

// Flows goes through the flows in order of their first drop. Each is valid
// until the next: a consumer that keeps one copies it.
func (w Window) Flows() iter.Seq[*Flow] { return w.flows(func(uint16) bool { return true }) }

// With goes through those flows whose prefix is wanted, which is asked once for
// several in a row.
func (w Window) With(wanted func(prefix string) bool) iter.Seq[*Flow] {
	last, is := -1, false
	return w.flows(func(prefix uint16) bool {
		if int(prefix) != last {
			last, is = int(prefix), wanted(w.prefixes[prefix])
		}
		return is
	})
}

func (w Window) flows(wanted func(prefix uint16) bool) iter.Seq[*Flow] {
	return func(yield func(*Flow) bool) {
		var f Flow
		for i := range w.entries.n {
			e := w.entries.at(i)
			if e.packets == 0 || !wanted(e.rest.prefix()) { // 0 if it was handed on early
				continue
			}
			w.fill(&f, e)
			if !yield(&f) {
				return
			}
		}
	}
}

func (w Window) fill(f *Flow, e *entry) {
	r, kind := e.rest, e.rest.kind()
	*f = Flow{
		Group: r.group(), Prefix: w.prefixes[r.prefix()], Hook: r.hook(), Family: r.family(), Protocol: r.protocol(),
		Source: e.sourceAddr(), Destination: e.destinationAddr(),
		TCPFlags: e.flags, Fragment: kind&fragment != 0, Overflow: kind&overflow != 0,
		In: e.in, Out: e.out, FirstSeen: time.Unix(0, e.first), LastSeen: time.Unix(0, e.last),
		Packets: e.packets, Bytes: e.bytes,
	}
	switch {
	case kind&hasPorts != 0:
		f.HasPorts, f.SourcePort, f.DestinationPort = true, e.sourcePort, r.port()
	case kind&hasICMP != 0:
		f.HasICMP = true
		f.ICMPType, f.ICMPCode = r.icmp()
	}
}
