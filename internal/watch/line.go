package watch

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/kube-nflog/kube-nflog/internal/flowstream"
	"github.com/kube-nflog/kube-nflog/internal/printable"
)

// EndedError is the error of a View whose lines ended with a flowstream.Ended. It says why.
type EndedError string

func (e EndedError) Error() string { return string(e) }

// line is the JSON line of a flow, or another line of a flow stream.
type line struct {
	flowstream.Missed
	flowstream.Ended

	LastSeen    time.Time `json:"lastSeen"`
	Group       uint16    `json:"group"`
	Prefix      string    `json:"prefix"`
	Hook        string    `json:"hook"`
	In          string    `json:"in"`
	Out         string    `json:"out"`
	Protocol    string    `json:"protocol"`
	Source      end       `json:"source"`
	Destination end       `json:"destination"`
	TCPFlags    string    `json:"tcpFlags"`
	ICMPType    *uint8    `json:"icmpType"`
	ICMPCode    *uint8    `json:"icmpCode"`
	Packets     uint64    `json:"packets"`
	Overflow    bool      `json:"overflow"`
	Reason      string    `json:"reason"`
	Policies    []string  `json:"policies"`
}

// end is one end of a flow.
type end struct {
	IP        netip.Addr `json:"ip"` // invalid if the line has none
	Port      *uint16    `json:"port"`
	Kind      string     `json:"kind"`
	Namespace string     `json:"namespace"`
	Name      string     `json:"name"`
}

// key holds the fields that all lines of a flow have in common.
type key struct {
	group                uint16
	prefix, hook, target string
	source, destination  netip.Addr
	overflow             bool
}

func parse(raw []byte) (line, error) {
	var l line
	if err := json.Unmarshal(raw, &l); err != nil {
		return line{}, fmt.Errorf("read a JSON line: %w", err)
	}
	if l.Why != "" {
		return line{}, EndedError(clean(l.Why))
	}
	return l, nil
}

func (l *line) key() key {
	return key{l.Group, l.Prefix, l.Hook, l.target(), l.Source.IP, l.Destination.IP, l.Overflow}
}

// target returns what was denied: "8080/TCP", "ICMP 8/0", "GRE".
func (l *line) target() string {
	switch {
	case l.Destination.Port != nil:
		return strconv.Itoa(int(*l.Destination.Port)) + "/" + l.Protocol
	case l.ICMPType != nil && l.ICMPCode != nil:
		return fmt.Sprintf("%s %d/%d", l.Protocol, *l.ICMPType, *l.ICMPCode)
	}
	return l.Protocol
}

// way returns where the packets were logged: "forward cali1 > eth0".
func (l *line) way() string {
	words := []string{l.Hook}
	if l.In != "" {
		words = append(words, l.In)
	}
	if l.Out != "" {
		words = append(words, ">", l.Out)
	}
	return strings.Join(words, " ")
}

// text returns an end: its owner, if it is known, and its address.
func (e *end) text() string {
	switch {
	case !e.IP.IsValid():
		return "many"
	case e.Name == "":
		return e.IP.String()
	case e.Namespace != "":
		return e.Namespace + "/" + e.Name + " (" + e.IP.String() + ")"
	}
	return e.Name + " (" + e.IP.String() + ")"
}

// clean makes text safe to print. An agent's lines are, but another program may answer on
// its port.
func clean(text string) string { return printable.Text(text, unicode.ReplacementChar) }
