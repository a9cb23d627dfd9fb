package event

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
)

// String returns the target as an aggregate names it: "22/TCP", "ICMP
// echo-request", "UDP fragments" or "GRE".
func (t target) String() string {
	switch {
	case t.hasPort:
		return strconv.Itoa(int(t.port)) + "/" + t.protocol.String()
	case t.hasICMP:
		return t.protocol.String() + " " + icmpName(t.protocol, t.icmpType, t.icmpCode)
	case t.fragment:
		return t.protocolText() + " fragments"
	}
	return t.protocolText()
}

// protocolText returns the protocol's name, with a word before a bare number.
func (t target) protocolText() string {
	name := t.protocol.String()
	if _, err := strconv.Atoi(name); err == nil {
		return "protocol " + name
	}
	return name
}

// on returns the target as a sentence goes on with it, with a leading space.
func (t target) on() string {
	if t.hasPort {
		return " on port " + t.String()
	}
	return " (" + t.String() + ")"
}

// trafficText returns "receiving traffic from X", "sending traffic to X" or
// "forwarding traffic from X".
func trafficText(d direction, peer string) string {
	if d == sending {
		return "sending traffic to " + peer
	}
	return d.String() + " traffic from " + peer
}

// sentence returns the built-in message of an ordinary event.
func sentence(m *MessageData) string {
	var b strings.Builder
	b.WriteString("Packet dropped when ")
	b.WriteString(m.Traffic)
	b.WriteString(m.On)
	if m.TCPFlags != "" {
		b.WriteString(" (TCP flags " + m.TCPFlags + ")")
	}
	switch len(m.Prefixes) {
	case 0:
	case 1:
		fmt.Fprintf(&b, " (NFLOG prefix %s)", m.Prefixes[0])
	default:
		fmt.Fprintf(&b, " (NFLOG prefixes %s)", strings.Join(m.Prefixes, ", "))
	}
	if m.Why != "" {
		b.WriteString(": " + m.Why)
	}
	b.WriteByte('.')
	return b.String()
}

// flagsText returns the TCP flags worth a word: none for a plain SYN, which is
// what a denied connection starts with.
func flagsText(f decode.TCPFlags) string {
	if f == decode.SYN {
		return ""
	}
	return f.String()
}

// quote puts text from outside between quotation marks, cleaned; quotation
// marks inside are left alone, it is for people.
func quote(s string) string { return `"` + emit.Clean(s) + `"` }

// many returns a number with its noun: "1 port", "1,204 sources".
func many(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return grouped(n) + " " + noun
}

// grouped returns n with commas between its thousands. n must not be negative.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
