package flow

import (
	"math"

	"github.com/kube-nflog/kube-nflog/decode"
)

// entry is one flow of a window as the table keeps it: what is not handed on yet.
type entry struct {
	key

	sourcePort uint16
	flags      decode.TCPFlags
	in, out    uint32
	next       int32 // the next early one of its owner; see owners
	first      int64 // nanoseconds since 1970
	last       int64
	packets    uint64
	bytes      uint64
}

// count counts a packet.
func (e *entry) count(time int64, length uint32) {
	e.packets++
	e.bytes += uint64(length)
	// Packets of several CPUs are only nearly in order.
	e.first, e.last = min(e.first, time), max(e.last, time)
}

// describe takes in what the last packet's need not share with the others.
func (e *entry) describe(in, out uint32, sourcePort uint16, flags decode.TCPFlags) {
	e.in, e.out, e.sourcePort, e.flags = in, out, sourcePort, flags
}

// noTime is before every time that is the earlier one.
const noTime = math.MaxInt64

// giveUp empties an entry that was handed on, or is taken for a new flow. It sets
// one field after the other: a whole entry would be made elsewhere and copied.
func (e *entry) giveUp() { e.first, e.packets, e.bytes = noTime, 0, 0 }
