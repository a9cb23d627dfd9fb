package event

import (
	"fmt"

	"github.com/kube-nflog/kube-nflog/decode"
)

// icmpName returns the name of an ICMP or ICMPv6 message as ip(6)tables spells it
// (iana.org/assignments/icmp-parameters, icmpv6-parameters). For a message without
// such a name it returns the numbers.
func icmpName(p decode.Protocol, typ, code uint8) string {
	names, codes, unreachable := icmpTypes, icmpUnreachable, uint8(3)
	if p == decode.ICMPv6 {
		names, codes, unreachable = icmpv6Types, icmpv6Unreachable, 1
	}
	if typ == unreachable {
		if name, ok := codes(code); ok {
			return name
		}
	}
	name, ok := names(typ)
	switch {
	case !ok:
		return fmt.Sprintf("type %d code %d", typ, code)
	case code != 0:
		return fmt.Sprintf("%s code %d", name, code)
	}
	return name
}

func icmpTypes(typ uint8) (string, bool) {
	name, ok := map[uint8]string{
		0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect",
		8: "echo-request", 9: "router-advertisement", 10: "router-solicitation",
		11: "time-exceeded", 12: "parameter-problem", 13: "timestamp-request", 14: "timestamp-reply",
		17: "address-mask-request", 18: "address-mask-reply",
	}[typ]
	return name, ok
}

func icmpUnreachable(code uint8) (string, bool) {
	name, ok := map[uint8]string{
		0: "network-unreachable", 1: "host-unreachable", 2: "protocol-unreachable",
		3: "port-unreachable", 4: "fragmentation-needed", 9: "network-prohibited",
		10: "host-prohibited", 13: "communication-prohibited",
	}[code]
	return name, ok
}

func icmpv6Types(typ uint8) (string, bool) {
	name, ok := map[uint8]string{
		1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded", 4: "parameter-problem",
		128: "echo-request", 129: "echo-reply", 133: "router-solicitation", 134: "router-advertisement",
		135: "neighbour-solicitation", 136: "neighbour-advertisement", 137: "redirect",
	}[typ]
	return name, ok
}

func icmpv6Unreachable(code uint8) (string, bool) {
	name, ok := map[uint8]string{
		0: "no-route", 1: "communication-prohibited", 2: "beyond-scope",
		3: "address-unreachable", 4: "port-unreachable", 5: "failed-policy", 6: "reject-route",
	}[code]
	return name, ok
}
