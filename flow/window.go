package flow

import (
	"iter"
	"math"
	"slices"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
)

// Window is a batch of flows for the consumer, which calls Release when it is done with
// it. A flow that was exported early comes again at the end of its window with what was
// added since, if anything.
type Window struct {
	entries  *slab[entry]
	prefixes []string
	release  func()
}

// entry is a flow of a window in the table.
type entry struct {
	key
	lastPacket

	next    int32 // the next early entry of its podQueue; see fairQueue
	first   int64 // nanoseconds since 1970
	last    int64 // nanoseconds since 1970
	packets uint64
	bytes   uint64
}

// lastPacket is what a flow has of its last packet, because its packets may differ in it.
type lastPacket struct {
	in, out    uint32
	sourcePort uint16
	flags      decode.TCPFlags
}

// set sets one field after the other. A whole lastPacket would be built in other memory
// and then copied.
func (l *lastPacket) set(d *decode.Drop) {
	l.in, l.out, l.sourcePort, l.flags = d.In, d.Out, d.SourcePort, d.TCPFlags
}

// count counts a packet. The packets of several CPUs are only nearly in order.
func (e *entry) count(at int64, length uint32) {
	e.packets++
	e.bytes += uint64(length)
	e.first, e.last = min(e.first, at), max(e.last, at)
}

// noTime is later than any time that a first packet can have.
const noTime = math.MaxInt64

// clear takes the packets out of an entry. It sets one field after the other for the
// reason that lastPacket.set has.
func (e *entry) clear() { e.first, e.packets, e.bytes = noTime, 0, 0 }

// Release gives the window's memory back to the table.
func (w Window) Release() { w.release() }

// Flows goes through the flows in order of their first drop. Each is valid until the
// next one: a consumer that keeps one copies it.
func (w Window) Flows() iter.Seq[*Flow] { return w.flows(func(uint16) bool { return true }) }

// With goes through the flows whose prefix is wanted. It takes no time if none of the
// prefixes that the table has seen is.
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

// Sums adds up the packets of successive flows that agree in prefix and protocol. Each
// Flow that it yields has only Prefix, Protocol and Packets, and is valid until the next
// one.
func (w Window) Sums() iter.Seq[*Flow] {
	return func(yield func(*Flow) bool) {
		var sum Flow // of no prefix and protocol 0, at first
		var of packed
		for i := range w.entries.n {
			e := w.entries.at(i)
			if next := e.packed.prefixAndProtocol(); next != of {
				if sum.Packets > 0 && !yield(&sum) {
					return
				}
				of = next
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
			if e.packets == 0 || !wanted(e.packed.prefix()) { // no packets came after it was exported early
				continue
			}
			e.key.fill(&f, &last, w.prefixes)
			e.fill(&f)
			last = e.key
			if !yield(&f) {
				return
			}
		}
	}
}

// fill sets the fields of a flow that do not come from its key.
func (e *entry) fill(f *Flow) {
	f.SourcePort, f.TCPFlags, f.In, f.Out = 0, e.flags, e.in, e.out
	if f.HasPorts {
		f.SourcePort = e.sourcePort
	}
	f.FirstSeen, f.LastSeen, f.Packets, f.Bytes = time.Unix(0, e.first), time.Unix(0, e.last), e.packets, e.bytes
}
