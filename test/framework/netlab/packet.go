package netlab

import (
	"fmt"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Protocol is the protocol of a packet.
type Protocol string

// The protocols. ICMP is an echo request of ICMP or ICMPv6, as the address family needs.
const (
	TCP  Protocol = "TCP"
	UDP  Protocol = "UDP"
	ICMP Protocol = "ICMP"
	SCTP Protocol = "SCTP"
)

// firstSourcePort is the source port of the first packet if none is given. Each further
// packet has the next port, like a new connection.
const firstSourcePort = 40000

// Packet says what a packet is made of: a TCP SYN, a UDP datagram, an ICMP
// echo request or an SCTP INIT.
type Packet struct {
	Source, Destination netip.Addr // both of one family
	Protocol            Protocol
	SourcePort          uint16 // 0 for a new one in each packet
	DestinationPort     uint16 // not for ICMP
	PayloadLength       int    // of UDP and ICMP, in bytes
}

// Bytes returns the packet, from its IP header on, with checksums. Packets of one sender
// differ in their sequence number.
func (p Packet) Bytes(sequence int) ([]byte, error) {
	ip, network := p.network(sequence)
	transport, err := p.transport(sequence, network)
	if err != nil {
		return nil, err
	}
	buf := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, options, append([]gopacket.SerializableLayer{ip}, transport...)...); err != nil {
		return nil, fmt.Errorf("make a %s packet: %w", p.Protocol, err)
	}
	return buf.Bytes(), nil
}

func (p Packet) network(sequence int) (gopacket.SerializableLayer, gopacket.NetworkLayer) {
	protocols := map[Protocol]layers.IPProtocol{
		TCP: layers.IPProtocolTCP, UDP: layers.IPProtocolUDP, ICMP: layers.IPProtocolICMPv4, SCTP: layers.IPProtocolSCTP,
	}
	if p.Source.Is4() {
		ip := &layers.IPv4{
			Version: 4, TTL: 64, Id: uint16(sequence), Protocol: protocols[p.Protocol],
			SrcIP: p.Source.AsSlice(), DstIP: p.Destination.AsSlice(),
		}
		return ip, ip
	}
	ip := &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: protocols[p.Protocol],
		SrcIP: p.Source.AsSlice(), DstIP: p.Destination.AsSlice(),
	}
	if p.Protocol == ICMP {
		ip.NextHeader = layers.IPProtocolICMPv6
	}
	return ip, ip
}

func (p Packet) transport(sequence int, network gopacket.NetworkLayer) ([]gopacket.SerializableLayer, error) {
	source := p.SourcePort
	if source == 0 {
		source = uint16(firstSourcePort + sequence%20000)
	}
	payload := gopacket.Payload(make([]byte, p.PayloadLength))
	switch p.Protocol {
	case TCP:
		tcp := &layers.TCP{
			SrcPort: layers.TCPPort(source), DstPort: layers.TCPPort(p.DestinationPort),
			Seq: uint32(sequence), SYN: true, Window: 64240,
		}
		return []gopacket.SerializableLayer{tcp}, tcp.SetNetworkLayerForChecksum(network)
	case UDP:
		udp := &layers.UDP{SrcPort: layers.UDPPort(source), DstPort: layers.UDPPort(p.DestinationPort)}
		return []gopacket.SerializableLayer{udp, payload}, udp.SetNetworkLayerForChecksum(network)
	case SCTP:
		return []gopacket.SerializableLayer{
			&layers.SCTP{SrcPort: layers.SCTPPort(source), DstPort: layers.SCTPPort(p.DestinationPort)},
			&layers.SCTPInit{
				SCTPChunk:                      layers.SCTPChunk{Type: layers.SCTPChunkTypeInit, Length: 20},
				InitiateTag:                    uint32(sequence) + 1,
				AdvertisedReceiverWindowCredit: 65536, OutboundStreams: 1, InboundStreams: 1,
			},
		}, nil
	case ICMP:
		return p.echo(sequence, network, payload)
	}
	return nil, fmt.Errorf("make a packet: unknown protocol %q", p.Protocol)
}

func (p Packet) echo(sequence int, network gopacket.NetworkLayer, payload gopacket.Payload) ([]gopacket.SerializableLayer, error) {
	if p.Source.Is4() {
		echo := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 1, Seq: uint16(sequence)}
		return []gopacket.SerializableLayer{echo, payload}, nil
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)}
	echo := &layers.ICMPv6Echo{Identifier: 1, SeqNumber: uint16(sequence)}
	return []gopacket.SerializableLayer{icmp, echo, payload}, icmp.SetNetworkLayerForChecksum(network)
}
