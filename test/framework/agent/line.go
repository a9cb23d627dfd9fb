package agent

import "time"

// Line is one JSON line of --output json: a flow of one window.
type Line struct {
	FirstSeen   time.Time `json:"firstSeen"`
	LastSeen    time.Time `json:"lastSeen"`
	Node        string    `json:"node"`
	Group       uint16    `json:"group"`
	Prefix      string    `json:"prefix"`
	Hook        string    `json:"hook"`
	In          string    `json:"in"`
	Out         string    `json:"out"`
	Family      string    `json:"family"`
	Protocol    string    `json:"protocol"`
	Source      Endpoint  `json:"source"`
	Destination Endpoint  `json:"destination"`
	ICMPType    *uint8    `json:"icmpType"`
	ICMPCode    *uint8    `json:"icmpCode"`
	TCPFlags    string    `json:"tcpFlags"`
	Packets     uint64    `json:"packets"`
	Bytes       uint64    `json:"bytes"`

	PacketsAtLeast bool `json:"packetsAtLeast"`

	Reason   string   `json:"reason"`
	Policies []string `json:"policies"`
}

// Endpoint is one end of a Line.
type Endpoint struct {
	IP        string `json:"ip"`
	Port      uint16 `json:"port"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Workload  string `json:"workload"`
}
