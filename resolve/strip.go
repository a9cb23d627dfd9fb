package resolve

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
)

const (
	annotationMirror = corev1.MirrorPodAnnotationKey
	// annotationCalico is set by Calico's CNI plugin before the kubelet writes
	// the status, and emptied when the address is given back.
	annotationCalico = "cni.projectcalico.org/podIPs"
	annotationEvents = "kube-nflog/events"
)

// stripped makes an informer's transform of strip: an object of type O in, our
// own record out. It is idempotent, as client-go runs it twice over the
// objects of an initial list.
func stripped[O, R any](strip func(O) R) func(any) (any, error) {
	return func(obj any) (any, error) {
		switch o := obj.(type) {
		case R:
			return o, nil
		case O:
			return strip(o), nil
		}
		return nil, fmt.Errorf("strip: unexpected %T", obj)
	}
}

// newPod keeps what resolving needs, in memory of its own: nothing of o stays
// reachable through it.
func newPod(o *corev1.Pod, label string) *pod {
	p := &pod{
		workload:    unique.Make(workloadOf(o)),
		node:        unique.Make(o.Spec.NodeName),
		finished:    finishedAt(o),
		version:     parseVersion(o.ResourceVersion),
		terminating: o.DeletionTimestamp != nil,
		events:      wishOf(o.Annotations),
	}
	p.from, p.ready = startedAt(o)
	p.setAddrs(podAddresses(o))
	p.setText(o, label)
	return p
}

// setText lays the pod's own strings out in one allocation. The API server's
// limits keep each below its length field; what exceeded one would be cut.
func (p *pod) setText(o *corev1.Pod, label string) {
	namespace, name := cut(o.Namespace, 255), cut(o.Name, 1<<12)
	uid, eventUID := cut(string(o.UID), 255), cut(o.Annotations[annotationMirror], 255)
	var value string
	if label != "" {
		value = cut(o.Labels[label], 255)
	}
	p.text = namespace + "/" + name + uid + eventUID + value
	p.namespaceLen = uint8(len(namespace))
	p.keyLen = uint16(len(namespace) + 1 + len(name))
	p.uidLen = uint8(len(uid))
	p.eventUIDLen = uint8(len(eventUID))
	p.labelLen = uint8(len(value))
}

func cut(s string, limit int) string { return s[:min(len(s), limit)] }

// parseVersion reads a resource version, whose numbers only grow. 0 is one
// that cannot be read.
func parseVersion(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// podAddresses are the addresses that the pod alone has. A pod on the host's
// network has none: the node owns those.
func podAddresses(o *corev1.Pod) []netip.Addr {
	if o.Spec.HostNetwork {
		return nil
	}
	if given, ok := o.Annotations[annotationCalico]; ok && strings.TrimSpace(given) == "" {
		return nil
	}
	var addrs []netip.Addr
	for _, ip := range o.Status.PodIPs {
		addrs = appendAddr(addrs, ip.IP)
	}
	addrs = appendAddr(addrs, o.Status.PodIP)
	for given := range strings.SplitSeq(o.Annotations[annotationCalico], ",") {
		bare, _, _ := strings.Cut(strings.TrimSpace(given), "/")
		addrs = appendAddr(addrs, bare)
	}
	return addrs
}

// appendAddr adds the address in s, if it is one and not there yet.
func appendAddr(addrs []netip.Addr, s string) []netip.Addr {
	if s == "" {
		return addrs
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return addrs
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsUnspecified() || slices.Contains(addrs, addr) {
		return addrs
	}
	return append(addrs, addr)
}
