package decode

import "net/netip"

// Drop is one decoded packet. It is a plain value: its only pointer is Prefix, it
// compares with ==, and it may be kept, copied and sent.
type Drop struct {
	// Time is when the kernel saw the packet, in nanoseconds since 1970. Where the
	// kernel gives no timestamp (at the OUTPUT hook), it is when the packet was received.
	Time int64
	// Prefix is the rule's NFLOG prefix, sanitised; "" is a normal one.
	Prefix string
	// Source and Destination are 16-byte addresses, IPv4 in the IPv4-mapped form. Family
	// tells which they are. See SourceAddr and DestinationAddr.
	Source, Destination [16]byte
	// Length is the length of the whole IP packet in bytes, as its header gives it,
	// however little the kernel copied. If segmentation offload made the packet too long
	// for that field, Length is how much was copied.
	Length uint32
	// In and Out are interface indexes; 0 where the packet has none.
	In, Out uint32
	// Group is the NFLOG group.
	Group uint16
	// SourcePort and DestinationPort are valid iff HasPorts.
	SourcePort, DestinationPort uint16
	Hook                        Hook
	Family                      Family
	Protocol                    Protocol
	// ICMPType and ICMPCode are valid iff HasICMP.
	ICMPType, ICMPCode uint8
	// TCPFlags is valid iff Protocol is TCP and HasPorts; 0 where the capture
	// ended before them.
	TCPFlags TCPFlags
	HasPorts bool
	HasICMP  bool
	// Fragment says that the packet is an IP fragment. Only the first fragment has
	// ports.
	Fragment bool
}

// SourceAddr returns the source address, IPv4 as 4 bytes.
func (d *Drop) SourceAddr() netip.Addr { return Addr(d.Family, d.Source) }

// DestinationAddr returns the destination address, IPv4 as 4 bytes.
func (d *Drop) DestinationAddr() netip.Addr { return Addr(d.Family, d.Destination) }

// Addr turns an address that a Drop holds into a netip.Addr. An IPv4-mapped address of
// an IPv6 packet stays one: it is not IPv4.
func Addr(f Family, b [16]byte) netip.Addr {
	if f == IPv4 {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}
