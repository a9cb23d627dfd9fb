package decode

import (
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Result says what became of a packet.
type Result uint8

// What becomes of a packet.
const (
	// Decoded: the Drop is filled.
	Decoded Result = iota
	// Ignored: the prefix filter does not want it.
	Ignored
	// NotIP: the payload is of another protocol than IPv4 and IPv6, such as ARP.
	NotIP
	// Truncated: the copy ends before the IP addresses do.
	Truncated
	// Malformed: the IP header contradicts itself.
	Malformed
)

// String returns the result as a metric label has it.
func (r Result) String() string {
	return [...]string{"decoded", "ignored", "not_ip", "truncated", "malformed"}[r]
}

// EtherTypes (IEEE 802 numbers) that Decode understands.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// Decoder decodes packets one after the other into layers that it reuses.
type Decoder struct {
	prefixes *prefixes
	parse4   *gopacket.DecodingLayerParser
	parse6   *gopacket.DecodingLayerParser
	decoded  []gopacket.LayerType

	ip4  ipv4
	ip6  ipv6
	tcp  tcp
	udp  udp
	sctp sctp
	icmp icmp4
	icm6 icmp6
}

// NewDecoder returns a Decoder that ignores packets whose NFLOG prefix does
// not start with one of wanted; nil wants all.
func NewDecoder(wanted []string) *Decoder {
	d := &Decoder{prefixes: newPrefixes(wanted)}
	all := gopacket.DecodingLayerContainer(gopacket.DecodingLayerSparse(nil))
	for _, l := range []gopacket.DecodingLayer{&d.ip4, &d.ip6, &d.tcp, &d.udp, &d.sctp, &d.icmp, &d.icm6} {
		all = all.Put(l)
	}
	d.parse4 = newParser(layers.LayerTypeIPv4, all)
	d.parse6 = newParser(layers.LayerTypeIPv6, all)
	return d
}

func newParser(first gopacket.LayerType, all gopacket.DecodingLayerContainer) *gopacket.DecodingLayerParser {
	p := gopacket.NewDecodingLayerParser(first)
	p.IgnoreUnsupported = true // whatever follows the layers above is not looked at
	p.SetDecodingLayerContainer(all)
	return p
}

// Decode fills everything of drop that the packet's own bytes and its rule's
// prefix tell; the rest of drop is left as it is. etherType is the payload's
// protocol, 0 where it is not known. Unless the result is Decoded, drop is
// only partly set.
func (d *Decoder) Decode(payload, prefix []byte, etherType uint16, drop *Drop) Result {
	text, wanted := d.prefixes.intern(prefix)
	if !wanted {
		return Ignored
	}
	drop.Prefix = text
	family := ipVersion(payload, etherType)
	if family != IPv4 && family != IPv6 {
		return NotIP
	}
	return d.decodeIP(family, payload, drop)
}

func ipVersion(payload []byte, etherType uint16) Family {
	switch {
	case etherType == etherIPv4:
		return IPv4
	case etherType == etherIPv6:
		return IPv6
	case etherType == 0 && len(payload) > 0:
		return Family(payload[0] >> 4)
	}
	return 0
}

// decodeIP runs the parser and takes over what the IP layer found.
func (d *Decoder) decodeIP(family Family, payload []byte, drop *Drop) Result {
	parser, ip := d.parse4, &d.ip4.network
	if family == IPv6 {
		parser, ip = d.parse6, &d.ip6.network
	}
	if err := parser.DecodeLayers(payload, &d.decoded); err != nil {
		return resultOf(err)
	}
	drop.Family, drop.Protocol, drop.Length, drop.Fragment = family, ip.protocol, ip.total, ip.fragment
	drop.Source, drop.Destination = ip.source, ip.destination
	d.transport(drop)
	return Decoded
}

// transport takes over what stands behind the IP header, if it was decoded.
func (d *Decoder) transport(drop *Drop) {
	drop.HasPorts, drop.HasICMP, drop.TCPFlags = false, false, 0
	drop.SourcePort, drop.DestinationPort, drop.ICMPType, drop.ICMPCode = 0, 0, 0, 0
	switch d.decoded[len(d.decoded)-1] {
	case layers.LayerTypeTCP:
		drop.setPorts(uint16(d.tcp.SrcPort), uint16(d.tcp.DstPort))
		drop.TCPFlags = d.tcp.flags()
	case layers.LayerTypeUDP:
		drop.setPorts(uint16(d.udp.SrcPort), uint16(d.udp.DstPort))
	case layers.LayerTypeSCTP:
		drop.setPorts(uint16(d.sctp.SrcPort), uint16(d.sctp.DstPort))
	case layers.LayerTypeICMPv4:
		drop.setICMP(d.icmp.TypeCode.Type(), d.icmp.TypeCode.Code())
	case layers.LayerTypeICMPv6:
		drop.setICMP(d.icm6.TypeCode.Type(), d.icm6.TypeCode.Code())
	}
}

func (d *Drop) setPorts(source, destination uint16) {
	d.HasPorts, d.SourcePort, d.DestinationPort = true, source, destination
}

func (d *Drop) setICMP(typ, code uint8) {
	d.HasICMP, d.ICMPType, d.ICMPCode = true, typ, code
}

// resultOf tells the IP layers' two errors apart. A panic inside gopacket,
// which its parser turns into an error, counts as Malformed.
func resultOf(err error) Result {
	if err == errTruncated { //nolint:errorlint // the layers return it bare
		return Truncated
	}
	return Malformed
}
