package event

import (
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/kube-nflog/kube-nflog/emit"
)

// maxMessage is the API server's limit on an event's message, in bytes.
const maxMessage = 1024

// MessageData is what a message template works on. Text from outside is
// cleaned already. Fields that do not apply are "".
type MessageData struct {
	// Direction is "receiving", "sending" or "forwarding".
	Direction string
	// Traffic is the middle of the sentence: "receiving traffic from
	// shop/frontend-5b9 (10.0.0.5)".
	Traffic string
	// Namespace and Name are those of the object that the event is about.
	Namespace, Name string
	// Peer is the peer as Traffic names it; the other fields are its parts,
	// Kind as in the JSON line.
	Peer, PeerIP, PeerKind, PeerNamespace, PeerName, PeerWorkload string
	// On is " on port 8080/TCP" or " (ICMP echo-request)".
	On string
	// Protocol is "TCP"; Port "8080"; ICMP "echo-request".
	Protocol, Port, ICMP string
	// TCPFlags are the last packet's, "ACK|PSH"; "" for a plain SYN.
	TCPFlags string
	// Prefixes are the NFLOG prefixes seen, quoted, but the default one.
	Prefixes []string
	// Node is this node's name.
	Node string
	// Why is why the packet was dropped: "denied by NetworkPolicy
	// shop/api-ingress (no rule allows it)"; "" where it is not known.
	Why string
	// AtLeast is "At least this many packets: the rule that logs has a limit of
	// 10/minute." where the event's count is a lower bound; "" where it is exact
	// as far as is known.
	AtLeast string
}

// parseMessage parses a message template and tries it; "" gives nil.
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

// renderMessage returns the message of an ordinary event: the template's, where
// there is one and it works, else the built-in sentence. At most maxMessage
// bytes of printable UTF-8.
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

// maxLimit bounds what a message says of a limit, in bytes.
const maxLimit = 64

// atLeastText says that a count is a lower bound because of a limit, which is
// "" where its rate is not known.
func atLeastText(limit string) string {
	text := "At least this many packets: the rule that logs has a limit"
	if limit != "" {
		text += " of " + emit.Cut(emit.Clean(limit), maxLimit)
	}
	return text + "."
}

// withAtLeast adds a sentence to a message of at most maxMessage bytes. What is
// too long is cut from the message: it must not claim to be exact.
func withAtLeast(message, atLeast string) string {
	if atLeast == "" {
		return emit.Cut(message, maxMessage)
	}
	return emit.Cut(message, maxMessage-len(" ")-len(atLeast)) + " " + atLeast
}

// oneLine joins the lines of a template, as a block of YAML has them, by a
// space. What the template was given has no line breaks.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " ")
}

// limitedWriter drops what goes beyond its room, so that no template can make
// a message of any size. One byte more than the room tells that it was cut.
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
