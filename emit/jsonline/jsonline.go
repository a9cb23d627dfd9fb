// Package jsonline writes dropped flows as JSON lines. The agent's standard output and the
// followers of /flows use the same Encoder, so they get the same bytes.
package jsonline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Config configures a Sink.
type Config struct {
	// NodeName is the name of this node, "" to leave it out.
	NodeName string
	// InterfaceName returns the name of a network interface by its index. It is required.
	InterfaceName func(index uint32) string

	// Unwritten counts the lines that could not be written. It is required.
	Unwritten prometheus.Counter
	Logger    *slog.Logger // nil: nothing is logged
}

// Sink writes a line for each flow.
type Sink struct {
	cfg Config

	mu      sync.Mutex // guards what follows
	encoder *Encoder
	failed  bool // the last line could not be written
}

// New returns a Sink that writes to w.
func New(w io.Writer, cfg Config) *Sink {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sink{cfg: cfg, encoder: NewEncoder(w, cfg.NodeName, cfg.InterfaceName)}
}

// Add writes a flow's line. It waits as long as the underlying writer does. It counts lines
// that cannot be written, and logs the first of several failures in a row.
func (s *Sink) Add(d *emit.DroppedFlow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.encoder.Encode(d)
	if err != nil {
		s.cfg.Unwritten.Inc()
	}
	if err != nil && !s.failed {
		s.cfg.Logger.Error("could not write JSON lines to standard output", "error", err)
	}
	s.failed = err != nil
}

// Encoder writes flows as JSON lines. It belongs to one goroutine.
type Encoder struct {
	w       io.Writer
	line    bytes.Buffer // buffer of the JSON encoder, which writes nothing more after an error of its writer
	encoder *json.Encoder
	node    string
	name    func(index uint32) string
}

// NewEncoder returns an encoder that writes each line to w with one call of w.Write. node
// is the name of this node, "" to leave it out. interfaceName returns the name of a network
// interface by its index.
func NewEncoder(w io.Writer, node string, interfaceName func(index uint32) string) *Encoder {
	e := &Encoder{w: w, node: node, name: interfaceName}
	e.encoder = json.NewEncoder(&e.line)
	e.encoder.SetEscapeHTML(false)
	return e
}

// line is the JSON line of a flow. Field names do not change once released.
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
	// PacketsAtLeast reports whether a rule that logs such packets has a limit, so
	// that there may have been more.
	PacketsAtLeast bool   `json:"packetsAtLeast,omitempty"`
	Bytes          uint64 `json:"bytes"`
	TCPFlags       string `json:"tcpFlags,omitempty"`
	ICMPType       *uint8 `json:"icmpType,omitempty"`
	ICMPCode       *uint8 `json:"icmpCode,omitempty"`
	// Overflow reports whether the line stands for many flows; see flow.Flow.
	Overflow bool `json:"overflow,omitempty"`
	// ReasonCode and Reason say why the packets were dropped, for programs and for people.
	// Policies are the policies that denied them.
	ReasonCode policy.ReasonCode `json:"reasonCode,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Policies   []string          `json:"policies,omitempty"`
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

// Encode writes a flow's line. It returns the error of the underlying writer. It hides
// nothing from the readers of the lines.
func (e *Encoder) Encode(d *emit.DroppedFlow) error {
	l := line{
		FirstSeen:   d.FirstSeen.UTC(),
		LastSeen:    d.LastSeen.UTC(),
		Node:        e.node,
		Group:       d.Group,
		Prefix:      emit.Clean(d.Prefix),
		Hook:        d.Hook.String(),
		In:          e.interfaceName(d.In),
		Out:         e.interfaceName(d.Out),
		Family:      d.Family.String(),
		Protocol:    d.Protocol.String(),
		Source:      endOf(d.Flow.Source, &d.Source),
		Destination: endOf(d.Flow.Destination, &d.Destination),
		Packets:     d.Packets,
		Bytes:       d.Bytes,
		Overflow:    d.Overflow,
		ReasonCode:  d.Reason.Code,
		Reason:      emit.Clean(d.Reason.Text),

		PacketsAtLeast: d.Reason.AtLeast,
	}
	for _, p := range d.Reason.Policies {
		l.Policies = append(l.Policies, emit.Clean(p))
	}
	if d.HasPorts {
		l.Source.Port, l.Destination.Port = &d.SourcePort, &d.DestinationPort
		if d.Protocol == decode.TCP {
			l.TCPFlags = d.TCPFlags.String()
		}
	}
	if d.HasICMP {
		l.ICMPType, l.ICMPCode = &d.ICMPType, &d.ICMPCode
	}
	e.line.Reset()
	if err := e.encoder.Encode(&l); err != nil {
		return fmt.Errorf("jsonline: encode JSON line: %w", err)
	}
	if _, err := e.w.Write(e.line.Bytes()); err != nil {
		return fmt.Errorf("jsonline: write JSON line: %w", err)
	}
	return nil
}

// interfaceName returns the name of an interface; "" for none.
func (e *Encoder) interfaceName(index uint32) string {
	if index == 0 {
		return ""
	}
	return e.name(index)
}

func endOf(addr netip.Addr, ep *resolve.Endpoint) lineEnd {
	end := lineEnd{Kind: ep.Kind.String(), Namespace: ep.Namespace, Name: emit.Clean(ep.Name), Workload: ep.Workload}
	if addr.IsValid() {
		end.IP = addr.String()
	}
	return end
}
