package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// direction is what the object of an event was doing.
type direction uint8

const (
	receiving direction = iota
	sending
	forwarding // a node, for traffic between two others
)

func (d direction) String() string {
	return [...]string{"receiving", "sending", "forwarding"}[d]
}

// target is what the packets were for: a port, an ICMP kind, or a protocol
// that has neither.
type target struct {
	protocol           decode.Protocol
	hasPort, hasICMP   bool
	fragment           bool
	icmpType, icmpCode uint8
	port               uint16
}

func targetOf(f *flow.Flow) target {
	t := target{protocol: f.Protocol, hasPort: f.HasPorts, hasICMP: f.HasICMP}
	switch {
	case f.HasPorts:
		t.port = f.DestinationPort
	case f.HasICMP:
		t.icmpType, t.icmpCode = f.ICMPType, f.ICMPCode
	default:
		t.fragment = f.Fragment
	}
	return t
}

// peerKey is a peer's identity: one workload, however many pods it has; one
// pod without a workload; one node or service; else one address. A name that
// reverse DNS gives is no part of it, because it may come late.
type peerKey struct {
	kind            resolve.Kind // Unknown where addr is the identity
	workload        bool         // name is the workload's
	namespace, name string
	addr            netip.Addr
	via             netip.Addr // forwarding: the destination
}

func peerKeyOf(peer *resolve.Endpoint) peerKey {
	switch peer.Kind {
	case resolve.Pod:
		if peer.Workload != "" {
			return peerKey{kind: resolve.Pod, workload: true, namespace: peer.Namespace, name: peer.Workload}
		}
		return peerKey{kind: resolve.Pod, namespace: peer.Namespace, name: peer.Name}
	case resolve.Node, resolve.Service:
		return peerKey{kind: peer.Kind, namespace: peer.Namespace, name: peer.Name}
	}
	return peerKey{addr: peer.IP}
}

// stranger says that the peer is nothing the cluster knows, so that anyone can
// make as many of them as he has addresses.
func (k *peerKey) stranger() bool { return k.kind == resolve.Unknown }

// entryKey tells the entries of one object apart.
type entryKey struct {
	direction direction
	aggregate bool // then peer and target are zero
	peer      peerKey
	target    target
}

const (
	maxObjectName = 253 // bytes; the API server's limit
	nameHashBytes = 10  // 80 bits
)

// objectName returns the name of the event object that an entry mirrors. The
// same entry gets the same name after a restart. The node is part of it: two
// nodes that see the same flow each keep a count of their own.
func objectName(node, component string, s *objectKey, k *entryKey) string {
	h := sha256.New()
	// A NUL occurs in none of the parts, so that no two lists look the same.
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%d\x00%t\x00", node, component, s.uid, k.direction, k.aggregate)
	fmt.Fprintf(h, "%d\x00%t\x00%s\x00%s\x00", k.peer.kind, k.peer.workload, k.peer.namespace, k.peer.name)
	fmt.Fprintf(h, "%s\x00%s\x00%+v", k.peer.addr, k.peer.via, k.target)
	suffix := "." + hex.EncodeToString(h.Sum(nil)[:nameHashBytes])
	name := s.name
	if room := maxObjectName - len(suffix); len(name) > room {
		name = name[:room]
	}
	return strings.TrimRight(name, ".-") + suffix
}
