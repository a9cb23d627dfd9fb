// Package jsonline writes dropped flows as JSON lines. A Writer belongs to one
// goroutine.
package jsonline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Writer writes flows as JSON lines. Field names do not change once
// released.
type Writer struct {
	w       io.Writer
	line    bytes.Buffer // the encoder's, which would not write again after an error of w
	encoder *json.Encoder
	node    string
	name    func(index uint32) string
}

// New returns a writer of lines to w, one call of w.Write each. node
// is this node's name, "" to leave it out; interfaceName names a network
// interface by its index.
func New(w io.Writer, node string, interfaceName func(index uint32) string) *Writer {
	j := &Writer{w: w, node: node, name: interfaceName}
	j.encoder = json.NewEncoder(&j.line)
	j.encoder.SetEscapeHTML(false)
	return j
}

// line is a flow as its JSON line shows it.
type line struct {
	FirstSeen   time.Time `json:"firstSeen"`
	LastSeen    time.Time `json:"lastSeen"`
	Node        string    `json:"node,omitempty"`
	Group       uint16    `json:"group"`
	Prefix      string    `json:"prefix"`
	Hook        string    `json:"hook"`
	In          string    `json:"in,omitempty"`
	Out         string    `json:"out,omitempty"`
	Family      string    `json:"family"`
	Protocol    string    `json:"protocol"`
	Source      lineEnd   `json:"source"`
	Destination lineEnd   `json:"destination"`
	Packets     uint64    `json:"packets"`
	// PacketsAtLeast says that a rule which logs such packets has a limit, so that
	// there may have been more.
	PacketsAtLeast bool   `json:"packetsAtLeast,omitempty"`
	Bytes          uint64 `json:"bytes"`
	TCPFlags       string `json:"tcpFlags,omitempty"`
	ICMPType       *uint8 `json:"icmpType,omitempty"`
	ICMPCode       *uint8 `json:"icmpCode,omitempty"`
	// Overflow says that the line stands for many flows; see flow.Flow.
	Overflow bool `json:"overflow,omitempty"`
	// Reason says why the packets were dropped, Policies are those that did it.
	Reason   string   `json:"reason,omitempty"`
	Policies []string `json:"policies,omitempty"`
}

// lineEnd is one end of a flow.
type lineEnd struct {
	IP        string  `json:"ip,omitempty"`
	Port      *uint16 `json:"port,omitempty"`
	Kind      string  `json:"kind"`
	Namespace string  `json:"namespace,omitempty"`
	Name      string  `json:"name,omitempty"`
	Workload  string  `json:"workload,omitempty"`
}

// Write writes one line. Its error is the underlying writer's.
func (w *Writer) Write(f flow.Flow, src, dst resolve.Endpoint) error {
	return w.WriteExplained(f, src, dst, &emit.Explanation{})
}

// WriteExplained is Write for a flow of which more is known. Nothing is hidden
// from who reads the lines.
func (w *Writer) WriteExplained(f flow.Flow, src, dst resolve.Endpoint, x *emit.Explanation) error {
	l := line{
		FirstSeen:   f.FirstSeen.UTC(),
		LastSeen:    f.LastSeen.UTC(),
		Node:        w.node,
		Group:       f.Group,
		Prefix:      emit.Clean(f.Prefix),
		Hook:        f.Hook.String(),
		In:          w.interfaceName(f.In),
		Out:         w.interfaceName(f.Out),
		Family:      f.Family.String(),
		Protocol:    f.Protocol.String(),
		Source:      endOf(f.Source, &src),
		Destination: endOf(f.Destination, &dst),
		Packets:     f.Packets,
		Bytes:       f.Bytes,
		Overflow:    f.Overflow,
		Reason:      emit.Clean(x.Why),

		PacketsAtLeast: x.AtLeast,
	}
	for _, p := range x.Policies {
		l.Policies = append(l.Policies, emit.Clean(p))
	}
	if f.HasPorts {
		l.Source.Port, l.Destination.Port = &f.SourcePort, &f.DestinationPort
		if f.Protocol == decode.TCP {
			l.TCPFlags = f.TCPFlags.String()
		}
	}
	if f.HasICMP {
		l.ICMPType, l.ICMPCode = &f.ICMPType, &f.ICMPCode
	}
	w.line.Reset()
	if err := w.encoder.Encode(&l); err != nil {
		return fmt.Errorf("jsonline: encode JSON line: %w", err)
	}
	if _, err := w.w.Write(w.line.Bytes()); err != nil {
		return fmt.Errorf("jsonline: write JSON line: %w", err)
	}
	return nil
}

// interfaceName names an interface; "" for none.
func (w *Writer) interfaceName(index uint32) string {
	if index == 0 {
		return ""
	}
	return w.name(index)
}

func endOf(addr netip.Addr, ep *resolve.Endpoint) lineEnd {
	end := lineEnd{Kind: ep.Kind.String(), Namespace: ep.Namespace, Name: emit.Clean(ep.Name), Workload: ep.Workload}
	if addr.IsValid() {
		end.IP = addr.String()
	}
	return end
}
