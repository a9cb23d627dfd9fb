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
	// the status, and emptied when the address is given back. So may anybody who
	// may write the pod: see owners.announcing for what it is worth.
	annotationCalico = "cni.projectcalico.org/podIPs"
	annotationEvents = "kube-nflog/events"
)

// stripped makes an informer's transform of strip: an object of type O in, our
// own record out. It is idempotent, as client-go runs it twice over the
// objects of an initial list. cut is told of each list that was too long.
func stripped[O any, R interface{ cutLists() cuts }](strip func(O) R, cut func(list string)) func(any) (any, error) {
	return func(obj any) (any, error) {
		switch o := obj.(type) {
		case R:
			return o, nil
		case O:
			made := strip(o)
			made.cutLists().each(cut)
			return made, nil
		}
		return nil, fmt.Errorf("strip: unexpected %T", obj)
	}
}

// newPod keeps what resolving needs, in memory of its own: nothing of o stays
// reachable through it.
func newPod(o *corev1.Pod, label string) *pod {
	p := &pod{
		workload:    unique.Make(WorkloadOf(o)),
		node:        unique.Make(o.Spec.NodeName),
		finished:    finishedAt(o),
		version:     parseVersion(o.ResourceVersion),
		terminating: o.DeletionTimestamp != nil,
		events:      wishOf(o.Annotations),
	}
	p.from, p.ready = startedAt(o)
	p.setAddrs(o)
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

// setAddrs keeps the addresses that the pod alone has. A pod on the host's
// network has none: the node owns those. While the status has none, they are
// what the annotation announces. An empty annotation gives them back, of a pod
// that is being deleted and may stay for a while.
func (p *pod) setAddrs(o *corev1.Pod) {
	if o.Spec.HostNetwork {
		return
	}
	addrs := appendAddr(nil, o.Status.PodIP)
	for _, ip := range first(o.Status.PodIPs, maxAddrs, &p.cuts, cutAddrs) {
		addrs = appendAddr(addrs, ip.IP)
	}
	given, annotated := o.Annotations[annotationCalico]
	given = strings.TrimSpace(given)
	if len(addrs) == 0 && given != "" {
		addrs = p.readAnnounced(given)
		p.announces = len(addrs) > 0
	}
	p.returned = annotated && given == "" && p.terminating
	p.keepAddrs(addrs)
}

// readAnnounced reads an annotation: one address of each family. An annotation
// that holds more was not written by Calico, and announces nothing.
func (p *pod) readAnnounced(given string) []netip.Addr {
	if len(given) > maxAnnounced {
		p.cuts |= cutAnnounced
		return nil
	}
	var addrs []netip.Addr
	for part := range strings.SplitSeq(given, ",") {
		bare, _, _ := strings.Cut(strings.TrimSpace(part), "/")
		addrs = appendAddr(addrs, bare)
	}
	if len(addrs) > 2 || len(addrs) == 2 && addrs[0].Is4() == addrs[1].Is4() {
		p.cuts |= cutAnnounced
		return nil
	}
	return addrs
}

// appendPrefix adds the prefix in s, if it is one and not there yet.
func appendPrefix(prefixes []netip.Prefix, s string) []netip.Prefix {
	prefix, err := netip.ParsePrefix(s)
	if err != nil || slices.Contains(prefixes, prefix.Masked()) {
		return prefixes
	}
	return append(prefixes, prefix.Masked())
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
