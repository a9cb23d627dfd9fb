package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// question is a Config that was understood.
type question struct {
	from, to endName
	protocol corev1.Protocol
	port     uint16
}

// endName is the value of --from or --to: an object of the API, or an address.
type endName struct {
	kind      string // "Pod", "Service", "Node" or a workload's kind; "" for an address
	namespace string // "" for the default namespace
	name      string
	addr      netip.Addr
	external  bool // the user says that the address is outside of the cluster
}

// parseEnd reads NAMESPACE/POD, KIND/NAME, NAMESPACE/KIND/NAME, an address or
// external:ADDRESS.
func parseEnd(flag, s string) (endName, error) {
	text, external := strings.CutPrefix(s, "external:")
	if addr, err := netip.ParseAddr(text); err == nil {
		return endName{addr: addr.Unmap().WithZone(""), external: external}, nil
	}
	wrong := fmt.Errorf("%s: %q is neither namespace/pod, kind/name, namespace/kind/name nor an address", flag, s)
	parts := strings.Split(s, "/")
	if slices.Contains(parts, "") || external {
		return endName{}, wrong
	}
	switch len(parts) {
	case 2:
		if kind := kindOf(parts[0]); kind != "" {
			return endName{kind: kind, name: parts[1]}, nil
		}
		return endName{kind: kindPod, namespace: parts[0], name: parts[1]}, nil
	case 3:
		if kind := kindOf(parts[1]); kind != "" && kind != kindNode {
			return endName{kind: kind, namespace: parts[0], name: parts[2]}, nil
		}
	}
	return endName{}, wrong
}

const (
	kindPod     = "Pod"
	kindService = "Service"
	kindNode    = "Node"
)

// kindOf returns the kind that a word means, as kubectl reads it, and "" for a kind
// without pods.
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
