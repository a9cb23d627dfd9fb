package flow

import (
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
)

// Flow is all drops of a window that have one key: group, prefix, protocol, source
// address, destination address, destination port or ICMP type and code, and hook. What
// is not in the key is that of the last packet.
type Flow struct {
	Group       uint16
	Prefix      string
	Hook        decode.Hook
	Family      decode.Family
	Protocol    decode.Protocol
	Source      netip.Addr // invalid in an overflow flow that does not know it
	Destination netip.Addr // invalid in an overflow flow that does not know it

	// SourcePort and DestinationPort are valid iff HasPorts.
	SourcePort, DestinationPort uint16
	HasPorts                    bool
	// ICMPType and ICMPCode are valid iff HasICMP.
	ICMPType, ICMPCode uint8
	HasICMP            bool
	// TCPFlags is valid iff Protocol is TCP and HasPorts.
	TCPFlags decode.TCPFlags
	// Fragment says that the packets are later IP fragments, without ports.
	Fragment bool

	In, Out             uint32 // interface indexes, 0 for none
	FirstSeen, LastSeen time.Time
	Packets             uint64
	Bytes               uint64 // sum of the IP headers' total lengths

	// Overflow says that the table was full. Such a flow stands for many flows that
	// have group, prefix, protocol, family and hook in common, and one address if the
	// local side is known.
	Overflow bool
}
