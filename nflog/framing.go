package nflog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// ethernetHeader is the size of an Ethernet header: two addresses and a type.
const ethernetHeader = 14

// Network returns the packet from its network header on, or nil if that cannot be
// found. Usually this is Payload. At the netdev family's egress hook, however, the
// kernel copies from the link-layer header on, if the device has one, and does not say
// so. There the device's type decides, which links knows. Without links, or if the
// device is gone, the packet alone decides, if it can be read in only one way.
func (p *Packet) Network(links *Links) []byte {
	const egress = 1 // NF_NETDEV_EGRESS
	if p.Family != unix.NFPROTO_NETDEV || p.Hook != egress {
		return p.Payload
	}
	return p.unframed(links.framing(p.Out))
}

// framing is where a device's packets begin.
type framing uint8

const (
	unknown  framing = iota // the device is not known
	bare                    // with the network header
	ethernet                // with an Ethernet header
)

// framingOf returns where the packets of devices of a type (ARPHRD_…) begin.
func framingOf(deviceType uint16) framing {
	if deviceType == unix.ARPHRD_ETHER || deviceType == unix.ARPHRD_LOOPBACK {
		return ethernet
	}
	return bare
}

// unframed returns the payload from its network header on. A payload that contradicts
// the device's framing has none.
func (p *Packet) unframed(is framing) []byte {
	asBare, asFramed := isNetwork(p.Payload, p.EtherType), p.isFramed()
	switch {
	case asFramed && (is == ethernet || is == unknown && !asBare):
		return p.Payload[ethernetHeader:]
	case asBare && (is == bare || is == unknown && !asFramed):
		return p.Payload
	}
	return nil
}

// isFramed reports whether the payload can begin with an Ethernet header.
func (p *Packet) isFramed() bool {
	b := p.Payload
	return len(b) > ethernetHeader && binary.BigEndian.Uint16(b[ethernetHeader-2:]) == p.EtherType &&
		isNetwork(b[ethernetHeader:], p.EtherType)
}

// isNetwork reports whether b can begin with the network header of an EtherType.
// Anything can, if the EtherType is not IP.
func isNetwork(b []byte, etherType uint16) bool {
	switch etherType {
	case unix.ETH_P_IP: // version, header length, total length: 0 if it is too large for the field
		if len(b) < 4 || b[0] < 0x45 || b[0] > 0x4f {
			return false
		}
		total := int(binary.BigEndian.Uint16(b[2:]))
		return total == 0 || total >= int(b[0]&0xf)*4
	case unix.ETH_P_IPV6:
		return len(b) > 0 && b[0]>>4 == 6
	}
	return true
}
