package firewall

import (
	"slices"
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/rules"
)

// Owner is the program that keeps a chain. It writes the chain anew when it likes,
// at the latest when it restarts, so that rules of others do not last there.
type Owner string

// The owners that are known. The values are names for people.
const (
	// Host stands for chains that no known program keeps.
	Host       Owner = ""
	KubeProxy  Owner = "kube-proxy and the kubelet"
	KubeRouter Owner = "kube-router or k3s"
	Calico     Owner = "Calico"
	Docker     Owner = "Docker"
	Firewalld  Owner = "firewalld"
	UFW        Owner = "ufw"
)

// Owners returns all but Host.
func Owners() []Owner {
	return []Owner{Calico, KubeRouter, KubeProxy, Docker, Firewalld, UFW}
}

// Owner returns the program that keeps a chain, by the table's name with nft and
// by the chain's.
func (c *Chain) Owner() Owner {
	if c.Tool == rules.NFT {
		_, table, _ := strings.Cut(c.Table, " ")
		switch {
		case table == "kube-proxy":
			return KubeProxy
		case strings.HasPrefix(table, "kube-router-"):
			return KubeRouter
		case table == "calico":
			return Calico
		case table == "docker-bridges":
			return Docker
		case table == "firewalld":
			return Firewalld
		}
	}
	switch name := c.Name; {
	case strings.HasPrefix(name, "cali-"):
		return Calico
	case hasAnyPrefix(name, "KUBE-ROUTER-", "KUBE-POD-FW-", "KUBE-NWPLCY-"):
		return KubeRouter
	case hasAnyPrefix(name, "KUBE-SVC-", "KUBE-SEP-", "KUBE-EXT-", "KUBE-XLB-", "KUBE-FW-"), slices.Contains(kubeProxyChains(), name):
		return KubeProxy
	case name == "DOCKER-USER": // Docker leaves what the host's owner puts there
		return Host
	case name == "DOCKER", strings.HasPrefix(name, "DOCKER-"):
		return Docker
	case hasAnyPrefix(name, "ufw-", "ufw6-"):
		return UFW
	case c.isFirewalld():
		return Firewalld
	}
	return Host
}

func kubeProxyChains() []string {
	return []string{
		"KUBE-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL",
		"KUBE-IPVS-FILTER", "KUBE-IPVS-OUT-FILTER", "KUBE-NODE-PORT", "KUBE-SOURCE-RANGES-FIREWALL",
	}
}

// isFirewalld reports whether a chain is one of firewalld's iptables backend. The
// chains for direct rules (FORWARD_direct) are the host's.
func (c *Chain) isFirewalld() bool {
	return hasAnyPrefix(c.Name, "FWD_", "FWDI_", "FWDO_", "IN_", "INPUT_ZONES", "INPUT_POLICIES_",
		"FORWARD_IN_ZONES", "FORWARD_OUT_ZONES", "FORWARD_ZONES", "FORWARD_POLICIES_", "OUTPUT_ZONES", "OUTPUT_POLICIES_")
}

// IsPodChain reports whether a chain is the one in which kube-router decides what
// a pod's NetworkPolicies deny.
func (c *Chain) IsPodChain() bool { return strings.HasPrefix(c.Name, "KUBE-POD-FW-") }

func hasAnyPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
