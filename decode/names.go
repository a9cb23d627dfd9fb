package decode

import (
	"strconv"
	"strings"
)

// Family is the IP version of a packet, 4 or 6.
type Family uint8

// The IP versions.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String returns "IPv4" or "IPv6".
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "IP" + strconv.Itoa(int(f))
}

// Hook is the netfilter hook a packet was logged from
// (include/uapi/linux/netfilter.h, enum nf_inet_hooks).
type Hook uint8

// The netfilter hooks. The bridge family has the same numbers. The netdev family has
// two hooks, which the kernel numbers from 0 again; a Drop has them as the last two
// here.
const (
	HookPrerouting Hook = iota
	HookInput
	HookForward
	HookOutput
	HookPostrouting
	HookBrouting
	HookIngress
	HookEgress
)

// String returns the hook's name as nftables writes it.
func (h Hook) String() string {
	names := [...]string{"prerouting", "input", "forward", "output", "postrouting", "brouting", "ingress", "egress"}
	if int(h) < len(names) {
		return names[h]
	}
	return "hook" + strconv.Itoa(int(h))
}

// Protocol is an IANA Internet protocol number.
type Protocol uint8

// The protocols whose headers are decoded.
const (
	ICMP   Protocol = 1
	TCP    Protocol = 6
	UDP    Protocol = 17
	ICMPv6 Protocol = 58
	SCTP   Protocol = 132
)

// String returns the protocol's name, or its number if it has no name here.
func (p Protocol) String() string {
	switch p {
	case ICMP:
		return "ICMP"
	case TCP:
		return "TCP"
	case UDP:
		return "UDP"
	case ICMPv6:
		return "ICMPv6"
	case SCTP:
		return "SCTP"
	case 2:
		return "IGMP"
	case 4:
		return "IPIP"
	case 41:
		return "IPv6"
	case 47:
		return "GRE"
	case 50:
		return "ESP"
	case 51:
		return "AH"
	case 112:
		return "VRRP"
	case 136:
		return "UDPLite"
	}
	return strconv.Itoa(int(p))
}

// TCPFlags are the flag bits of a TCP header, FIN lowest (RFC 9293, 3.1).
type TCPFlags uint8

// The TCP flags.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// String returns the names of the flags that are set, joined by "|".
func (f TCPFlags) String() string {
	names := [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}
	var set []string
	for i, n := range names {
		if f&(1<<i) != 0 {
			set = append(set, n)
		}
	}
	return strings.Join(set, "|")
}
