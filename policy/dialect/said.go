package dialect

// Dialect is a way of logging. Auto tells them apart by the prefixes.
type Dialect string

// The dialects.
const (
	Auto       Dialect = "auto"
	Plain      Dialect = "plain"       // prefixes are text
	KubeRouter Dialect = "kube-router" // no prefixes
	K3s        Dialect = "k3s"
	Calico     Dialect = "calico"
)

// Names returns the dialects as flags name them.
func Names() []string {
	return []string{string(Auto), string(Plain), string(KubeRouter), string(K3s), string(Calico)}
}

// Verdict is what a rule did to the packet that it logged.
type Verdict uint8

// The verdicts.
const (
	Unsaid  Verdict = iota // the prefix does not tell
	Denied                 // it, or what follows it, dropped the packet
	Allowed                // it let the packet pass, or go on to other rules
)

// String returns the verdict in a word.
func (v Verdict) String() string { return [...]string{"unsaid", "denied", "allowed"}[v] }

// Said is what a prefix says of its rule. What it does not say is zero.
type Said struct {
	Verdict Verdict
	// Direction is "ingress" or "egress", as seen from the pod.
	Direction string
	// Kind is what Policy is: "NetworkPolicy" for one of Kubernetes itself,
	// "Calico NetworkPolicy", "Calico GlobalNetworkPolicy", "Calico tier" for a
	// tier of which no policy allows the packet, "Calico profile", or "policy".
	Kind string
	// Policy is "namespace/name" or, of what has no namespace, the name.
	Policy string
	// Cut says that Policy may be the beginning of a longer name.
	Cut bool
	// provisional says that another record of the same packet confirms it, or
	// the packet was not dropped.
	provisional bool
}
