package flow

import (
	"iter"
	"slices"
	"time"
)

// Window is a batch of flows for the consumer, which calls Release when it is
// done. A flow that was handed on early comes again at the window's end with
// what was added since, if anything.
type Window struct {
	entries  *list[entry]
	prefixes []string
	release  func()
}

// Release gives the window's memory back to the table.
func (w Window) Release() { w.release() }

// Flows goes through the flows in order of their first drop. Each is valid
// until the next: a consumer that keeps one copies it.
func (w Window) Flows() iter.Seq[*Flow] { return w.flows(func(uint16) bool { return true }) }

// With goes through those flows whose prefix is wanted, which takes no time
// where none of those met so far is.
func (w Window) With(wanted func(prefix string) bool) iter.Seq[*Flow] {
	if !slices.ContainsFunc(w.prefixes, wanted) {
		return func(func(*Flow) bool) {}
	}
	last, is := -1, false
	return w.flows(func(prefix uint16) bool {
		if int(prefix) != last {
			last, is = int(prefix), wanted(w.prefixes[prefix])
		}
		return is
	})
}

// Sums adds the flows up: each Flow has nothing but Prefix, Protocol and Packets,
// of as many flows in a row as share those, and is valid until the next.
func (w Window) Sums() iter.Seq[*Flow] {
	return func(yield func(*Flow) bool) {
		const shared = rest(0xff<<protocolShift | (maxPrefixes-1)<<prefixShift)
		var sum Flow // of what has no prefix and protocol 0, at first
		var of rest
		for i := range w.entries.n {
			e := w.entries.at(i)
			if (e.rest^of)&shared != 0 {
				if sum.Packets > 0 && !yield(&sum) {
					return
				}
				of = e.rest
				sum = Flow{Prefix: w.prefixes[of.prefix()], Protocol: of.protocol()}
			}
			sum.Packets += e.packets
		}
		if sum.Packets > 0 {
			yield(&sum)
		}
	}
}

func (w Window) flows(wanted func(prefix uint16) bool) iter.Seq[*Flow] {
	return func(yield func(*Flow) bool) {
		var f Flow
		var last key // f's; no entry's at first
		for i := range w.entries.n {
			e := w.entries.at(i)
			if e.packets == 0 || !wanted(e.rest.prefix()) { // 0 if it was handed on early
				continue
			}
			w.fill(&f, e, &last)
			if !yield(&f) {
				return
			}
		}
	}
}

// fill sets every field, but those of the key only if they are others than the
// last flow's: many flows mostly have all but one address in common.
func (w Window) fill(f *Flow, e *entry, last *key) {
	if e.rest != last.rest {
		w.fillRest(f, e.rest)
	}
	if e.source != last.source || e.rest != last.rest {
		f.Source = e.sourceAddr()
	}
	if e.destination != last.destination || e.rest != last.rest {
		f.Destination = e.destinationAddr()
	}
	*last = e.key
	f.SourcePort, f.TCPFlags, f.In, f.Out = 0, e.flags, e.in, e.out
	if f.HasPorts {
		f.SourcePort = e.sourcePort
	}
	f.FirstSeen, f.LastSeen, f.Packets, f.Bytes = time.Unix(0, e.first), time.Unix(0, e.last), e.packets, e.bytes
}

func (w Window) fillRest(f *Flow, r rest) {
	kind := r.kind()
	*f = Flow{
		Group: r.group(), Prefix: w.prefixes[r.prefix()], Hook: r.hook(), Family: r.family(), Protocol: r.protocol(),
		Fragment: kind&fragment != 0, Overflow: kind&overflow != 0,
	}
	switch {
	case kind&hasPorts != 0:
		f.HasPorts, f.DestinationPort = true, r.port()
	case kind&hasICMP != 0:
		f.HasICMP = true
		f.ICMPType, f.ICMPCode = r.icmp()
	}
}
