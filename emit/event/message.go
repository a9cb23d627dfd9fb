package event

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/template"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
)

// maxMessage is the API server's limit on an event's message, in bytes.
const maxMessage = 1024

// MessageData is the data of a message template. Text from outside is safe to
// print. Fields that do not apply are "".
type MessageData struct {
	// Direction is "receiving", "sending" or "forwarding".
	Direction string
	// Traffic is the middle of the sentence: "receiving traffic from
	// shop/frontend-5b9 (10.0.0.5)".
	Traffic string
	// Namespace and Name are those of the object that the event is about.
	Namespace, Name string
	// Peer is the peer as Traffic names it. The other fields are its parts. PeerKind
	// is as in JSON lines.
	Peer, PeerIP, PeerKind, PeerNamespace, PeerName, PeerWorkload string
	// On is " on port 8080/TCP" or " (ICMP echo-request)".
	On string
	// Protocol is "TCP"; Port "8080"; ICMP "echo-request".
	Protocol, Port, ICMP string
	// TCPFlags are those of the last packet, "ACK|PSH". They are "" for a plain SYN.
	TCPFlags string
	// Prefixes are the NFLOG prefixes, quoted, without the default one.
	Prefixes []string
	// Node is this node's name.
	Node string
	// Why is the reason: "denied by NetworkPolicy shop/api-ingress (no rule allows
	// it)". It is "" if no reason is known.
	Why string
	// AtLeast is "At least this many packets: the rule that logs has a limit of
	// 10/minute." if the event's count is a lower bound, else "".
	AtLeast string
}

// parseMessage parses a message template and tries it. For "" it returns nil.
func parseMessage(text string) (*template.Template, error) {
	if text == "" {
		return nil, nil
	}
	t, err := template.New("event-message").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	sample := MessageData{
		Direction: "receiving", Traffic: "receiving traffic from shop/frontend (10.0.0.5)",
		Namespace: "shop", Name: "api", Peer: "shop/frontend (10.0.0.5)", PeerIP: "10.0.0.5",
		PeerKind: "Pod", PeerNamespace: "shop", PeerName: "frontend", On: " on port 8080/TCP",
		Protocol: "TCP", Port: "8080", TCPFlags: "ACK", Prefixes: []string{`"p"`}, Node: "n1", Why: "denied by NetworkPolicy shop/p",
		AtLeast: atLeastText("10/minute"),
	}
	var b strings.Builder
	if err := t.Execute(&limitedWriter{w: &b, room: maxMessage}, sample); err != nil {
		return nil, fmt.Errorf("try: %w", err)
	}
	if strings.TrimSpace(b.String()) == "" {
		return nil, fmt.Errorf("try: the message is empty")
	}
	return t, nil
}

// renderMessage returns the message of an event: the template's if there is one and
// it works, else the built-in sentence. It is at most maxMessage bytes of printable
// UTF-8.
func renderMessage(t *template.Template, m *MessageData) string {
	text := ""
	if t != nil {
		var b strings.Builder
		if err := t.Execute(&limitedWriter{w: &b, room: maxMessage}, m); err == nil {
			text = emit.Clean(oneLine(b.String()))
		}
	}
	if text != "" {
		return emit.Cut(text, maxMessage)
	}
	return withAtLeast(emit.Clean(sentence(m)), m.AtLeast)
}

// maxLimit bounds the text of a limit in a message, in bytes.
const maxLimit = 64

// atLeastText returns the sentence for a count that is a lower bound because of a
// limit. The limit is "" if its rate is not known.
func atLeastText(limit string) string {
	text := "At least this many packets: the rule that logs has a limit"
	if limit != "" {
		text += " of " + emit.Cut(emit.Clean(limit), maxLimit)
	}
	return text + "."
}

// withAtLeast adds a sentence to a message. Together they have at most maxMessage
// bytes: the message is cut, never the sentence, because the count must not look
// exact.
func withAtLeast(message, atLeast string) string {
	if atLeast == "" {
		return emit.Cut(message, maxMessage)
	}
	return emit.Cut(message, maxMessage-len(" ")-len(atLeast)) + " " + atLeast
}

// oneLine joins the lines of a template by a space. A template in a block of YAML
// has several lines. The data of a template has no line breaks.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " ")
}

// limitedWriter drops what does not fit, so that a template cannot make a message of
// any size. It keeps one byte more than fits: that shows that something was cut.
type limitedWriter struct {
	w    io.StringWriter
	room int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	kept := min(len(p), l.room+1)
	if kept > 0 {
		if _, err := l.w.WriteString(string(p[:kept])); err != nil {
			return 0, err
		}
		l.room -= kept
	}
	return len(p), nil
}

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

// on returns the target for the middle of a sentence, with a leading space.
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

// flagsText returns the TCP flags that a message shows. A plain SYN is not shown,
// because every denied connection starts with it.
func flagsText(f decode.TCPFlags) string {
	if f == decode.SYN {
		return ""
	}
	return f.String()
}

// quote puts text from outside between quotation marks and makes it safe to print.
// It leaves quotation marks inside as they are, because people read it.
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
