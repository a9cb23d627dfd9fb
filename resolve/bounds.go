package resolve

// Bounds for the lists of one object. The API server limits few of them, and everybody who
// may write the object can fill it: 255 KiB of annotations hold 37,000 addresses.
const (
	maxAddrs     = 8 // in a pod's status, and cluster IPs of a Service
	maxNodeAddrs = 256
	maxPodCIDRs  = 8
	maxIngress   = 64
	maxLabels    = 64      // of a pod
	maxLabelText = 4 << 10 // bytes of all labels of a pod
	maxPorts     = 64      // container ports with a name
	// maxAnnounced is the length of an annotation with one address of each family, each
	// with its prefix length.
	maxAnnounced = len("255.255.255.255/32, ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128")
)

// cuts holds which lists of an object were longer than their bound.
type cuts uint8

const (
	cutAddrs cuts = 1 << iota
	cutAnnounced
	cutIngress
	cutPodCIDRs
	cutLabels
	cutPorts
)

// name returns the name of a list, one of c, as in the metric.
func (c cuts) name() string {
	switch c {
	case cutAddrs:
		return "addresses"
	case cutAnnounced:
		return "annotation"
	case cutIngress:
		return "ingress"
	case cutPodCIDRs:
		return "pod_cidrs"
	case cutLabels:
		return "labels"
	}
	return "ports"
}

// first returns the first limit elements of list. If there are more, it adds which to c.
func first[T any](list []T, limit int, c *cuts, which cuts) []T {
	if len(list) <= limit {
		return list
	}
	*c |= which
	return list[:limit]
}

// each calls f with the name of each list that was cut.
func (c cuts) each(f func(list string)) {
	for which := cutAddrs; which <= cutPorts; which <<= 1 {
		if c&which != 0 {
			f(which.name())
		}
	}
}
