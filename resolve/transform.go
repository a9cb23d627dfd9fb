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
	// annotationCalico is set by Calico's CNI plugin before the kubelet writes the status,
	// and emptied when the address is given back. Everybody who may write the pod may do
	// the same, see ipHistory.announcing.
	annotationCalico = "cni.projectcalico.org/podIPs"
	annotationEvents = "kube-nflog/events"
)

// stripped returns a transform for an informer: it converts an object of type O to our
// record. It is idempotent, because client-go calls it twice for the objects of an initial
// list. cut is called for each list that was too long.
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

// newPod keeps what resolving needs in new memory, so that nothing of o stays reachable.
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

// setText stores the pod's own strings in one allocation. The API server's limits keep each
// string shorter than its length field allows. A longer string would be cut.
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

// parseVersion parses a resource version. Versions only grow. It returns 0 if it cannot
// parse it.
func parseVersion(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// setAddrs sets the addresses that belong only to this pod. A pod on the host's network has
// none, because the node owns those. While the status has none, they come from the
// annotation. An empty annotation gives them back, if the pod is being deleted. Such a pod
// may still exist for a while.
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

// readAnnounced parses an annotation with one address of each family. If an annotation has
// more, Calico did not write it, and it announces nothing.
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

// appendPrefix adds the prefix in s, if s is a prefix and is not in the list yet.
func appendPrefix(prefixes []netip.Prefix, s string) []netip.Prefix {
	prefix, err := netip.ParsePrefix(s)
	if err != nil || slices.Contains(prefixes, prefix.Masked()) {
		return prefixes
	}
	return append(prefixes, prefix.Masked())
}

// appendAddr adds the address in s, if s is an address and is not in the list yet.
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
