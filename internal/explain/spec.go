package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// traffic is a question that was understood.
type traffic struct {
	from, to traffickedEnd
	protocol corev1.Protocol
	port     uint16
}

// traffickedEnd is what --from or --to names: an object of the API, or else an
// address.
type traffickedEnd struct {
	kind string // "Pod", "Service", "Node" or a workload's; "" for an address
	// namespace is "" for the default one.
	namespace, name string
	addr            netip.Addr
	// external reports that the address is known to be outside the cluster.
	external bool
}

// parseEnd reads NAMESPACE/POD, KIND/NAME, NAMESPACE/KIND/NAME, an address or
// external:ADDRESS.
func parseEnd(flag, s string) (traffickedEnd, error) {
	text, external := strings.CutPrefix(s, "external:")
	if addr, err := netip.ParseAddr(text); err == nil {
		return traffickedEnd{addr: addr.Unmap().WithZone(""), external: external}, nil
	}
	wrong := fmt.Errorf("%s: %q is neither namespace/pod, kind/name, namespace/kind/name nor an address", flag, s)
	parts := strings.Split(s, "/")
	if slices.Contains(parts, "") || external {
		return traffickedEnd{}, wrong
	}
	switch len(parts) {
	case 2:
		if kind := kindOf(parts[0]); kind != "" {
			return traffickedEnd{kind: kind, name: parts[1]}, nil
		}
		return traffickedEnd{kind: kindPod, namespace: parts[0], name: parts[1]}, nil
	case 3:
		if kind := kindOf(parts[1]); kind != "" && kind != kindNode {
			return traffickedEnd{kind: kind, namespace: parts[0], name: parts[2]}, nil
		}
	}
	return traffickedEnd{}, wrong
}

const (
	kindPod     = "Pod"
	kindService = "Service"
	kindNode    = "Node"
)

// kindOf reads a kind as kubectl does. It returns "" for a kind without pods.
func kindOf(word string) string {
	for kind, words := range map[string]string{
		kindPod: "po pod pods", kindService: "svc service services", kindNode: "no node nodes",
		"Deployment": "deploy deployment deployments", "ReplicaSet": "rs replicaset replicasets",
		"StatefulSet": "sts statefulset statefulsets", "DaemonSet": "ds daemonset daemonsets",
		"Job": "job jobs", "CronJob": "cj cronjob cronjobs",
	} {
		if slices.Contains(strings.Fields(words), word) {
			return kind
		}
	}
	return ""
}

func parsePort(s string) (uint16, corev1.Protocol, error) {
	number, protocol, ok := strings.Cut(s, "/")
	if !ok {
		protocol = string(corev1.ProtocolTCP)
	}
	p := corev1.Protocol(strings.ToUpper(protocol))
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 || !slices.Contains([]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}, p) {
		return 0, "", fmt.Errorf("--port: %q is no port and protocol such as 8080/TCP", s)
	}
	return uint16(n), p, nil
}
