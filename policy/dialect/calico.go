package dialect

import "strings"

const (
	kindNetworkPolicy = "NetworkPolicy"
	kindCalico        = "Calico NetworkPolicy"
	kindCalicoGlobal  = "Calico GlobalNetworkPolicy"
	kindCalicoTier    = "Calico tier"
	kindCalicoProfile = "Calico profile"
	// calicoHashed is the length of a prefix that was too long, so that Felix replaced its
	// middle by a hash.
	calicoHashed = 63
)

// parseCalico reads the prefixes of Calico's Felix: an action (Allow, Deny,
// Pass to the next tier), an owner (Policy, pRofile), a direction (Ingress,
// Egress), the rule's index, a bar, and the owner's id:
//
//	DPI0|gnp/default.foo   rule 0 of a policy
//	DPI|default            no policy of a tier allows it
//	DRE                    no profile does
func parseCalico(prefix string) (PrefixInfo, bool) {
	if len(prefix) < 3 {
		return PrefixInfo{}, false
	}
	action, ok := map[byte]Action{'A': Allowed, 'P': Allowed, 'D': Denied}[prefix[0]]
	direction, known := map[byte]string{'I': "ingress", 'E': "egress"}[prefix[2]]
	owner := prefix[1]
	if !ok || !known || owner != 'P' && owner != 'R' {
		return PrefixInfo{}, false
	}
	info := PrefixInfo{Action: action, Direction: direction}
	if owner == 'R' && prefix[0] == 'D' && len(prefix) == 3 {
		info.Kind = kindCalicoProfile
		return info, true
	}
	index, id, ok := strings.Cut(prefix[3:], "|")
	if !ok || id == "" || !digits(index) || strings.ContainsAny(id, " \t") {
		return PrefixInfo{}, false
	}
	if len(prefix) >= calicoHashed {
		info.Kind = "Calico policy" // its name cannot be parsed
		return info, true
	}
	info.Kind, info.Policy = calicoOwner(owner, index, id)
	return info, true
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// calicoOwner parses the id of a rule's owner.
func calicoOwner(owner byte, index, id string) (kind, name string) {
	if owner == 'R' {
		return kindCalicoProfile, id
	}
	first, rest, slash := strings.Cut(id, "/")
	switch {
	case !slash && index == "":
		return kindCalicoTier, id
	case !slash, first == "gnp":
		return kindCalicoGlobal, strings.TrimPrefix(id, "gnp/")
	case first == "knp" && strings.Contains(rest, "/"):
		return kindNetworkPolicy, rest
	case first == "np" && strings.Contains(rest, "/"):
		id = rest
	}
	return calicoNamespaced(id)
}

// calicoNamespaced parses "namespace/name". Names of Kubernetes NetworkPolicies begin with
// knp.default.
func calicoNamespaced(id string) (kind, name string) {
	namespace, name, _ := strings.Cut(id, "/")
	if own, ok := strings.CutPrefix(name, "knp.default."); ok {
		return kindNetworkPolicy, namespace + "/" + own
	}
	return kindCalico, id
}
