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

// direction is what the object of an event did with the packets.
type direction uint8

const (
	receiving direction = iota
	sending
	forwarding // the node, for traffic between two others
)

func (d direction) String() string {
	return [...]string{"receiving", "sending", "forwarding"}[d]
}

// target is what the packets were for: a port, an ICMP type, or a protocol that
// has neither. Its fields are part of event names: see objectName.
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

// peerKey is the identity of a peer: a workload with all its pods, a pod without a
// workload, a node, a Service, or else an address. A name of reverse DNS is no part
// of it, because the name may come late.
type peerKey struct {
	kind            resolve.Kind // Unknown if addr is the identity
	workload        bool         // name is the name of the workload
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

// outside reports whether the peer is nothing that the cluster knows. Anybody can
// be as many such peers as they have addresses.
func (k *peerKey) outside() bool { return k.kind == resolve.Unknown }

// entryKey identifies an entry of an object.
type entryKey struct {
	direction direction
	aggregate bool // if true, peer and target are zero
	peer      peerKey
	target    target
}

const (
	maxObjectName = 253 // bytes; the API server's limit
	nameHashBytes = 10  // 80 bits
)

// objectName returns the name of an entry's event object. The same entry gets the
// same name after a restart: a test pins the names. The node is part of the name,
// because each node that sees a flow keeps its own count.
func objectName(node, component string, s *objectKey, k *entryKey) string {
	h := sha256.New()
	// No part contains a NUL, so different parts never make the same text.
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
