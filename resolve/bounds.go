package resolve

// How much is read of the lists of one object. The API server bounds few of
// them, and whoever may write the object can fill it: 255 KiB of annotations
// hold 37,000 addresses.
const (
	maxAddrs     = 8 // of a pod's status, and cluster IPs of a Service
	maxNodeAddrs = 256
	maxPodCIDRs  = 8
	maxIngress   = 64
	maxLabels    = 64      // of a pod
	maxLabelText = 4 << 10 // bytes of a pod's labels in all
	maxPorts     = 64      // container ports with a name
	// maxAnnounced are the bytes of an annotation with one address of each
	// family, each with its prefix length.
	maxAnnounced = len("255.255.255.255/32, ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128")
)

// cuts says which lists of an object were longer than their bound.
type cuts uint8

const (
	cutAddrs cuts = 1 << iota
	cutAnnounced
	cutIngress
	cutPodCIDRs
	cutLabels
	cutPorts
)

// name is the list, one of c, as the metric names it.
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

// first returns the first limit elements of list, and notes in c if there are
// more.
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
