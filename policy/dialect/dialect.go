package dialect

// Dialect is a way of logging. Auto recognises the dialect by the prefixes.
type Dialect string

// The dialects.
const (
	Auto       Dialect = "auto"
	Plain      Dialect = "plain"       // prefixes are text
	KubeRouter Dialect = "kube-router" // no prefixes
	K3s        Dialect = "k3s"
	Calico     Dialect = "calico"
)

// Names returns the names of the dialects, as in flags.
func Names() []string {
	return []string{string(Auto), string(Plain), string(KubeRouter), string(K3s), string(Calico)}
}

// Action is what a rule did to the packet that it logged.
type Action uint8

// The actions.
const (
	Unspecified Action = iota // the prefix does not say it
	Denied                    // the rule, or a later one, dropped the packet
	Allowed                   // the rule let the packet pass, or go on to other rules
)

// String returns the action as a word.
func (a Action) String() string { return [...]string{"unspecified", "denied", "allowed"}[a] }

// PrefixInfo is what a prefix says about its rule. Fields that it does not mention are zero.
type PrefixInfo struct {
	Action Action
	// Direction is "ingress" or "egress", as seen from the pod.
	Direction string
	// Kind is the kind of Policy: "NetworkPolicy" for one of Kubernetes, "Calico
	// NetworkPolicy", "Calico GlobalNetworkPolicy", "Calico tier" for a tier in which no
	// policy allows the packet, "Calico profile", or "policy".
	Kind string
	// Policy is "namespace/name", or only the name if it has no namespace.
	Policy string
	// Cut reports that Policy may be the beginning of a longer name.
	Cut bool
	// provisional reports that the packet may have been allowed. Another record of the same
	// packet confirms the drop.
	provisional bool
}
