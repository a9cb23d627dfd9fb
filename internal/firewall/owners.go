package firewall

import (
	"slices"
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/rules"
)

// Owner is the program that manages a chain. It may write the chain again at any time, at
// the latest when it restarts. Rules of others do not last there.
type Owner string

// The known owners. The values are names for people.
const (
	// Host stands for chains that no known program manages.
	Host       Owner = ""
	KubeProxy  Owner = "kube-proxy and the kubelet"
	KubeRouter Owner = "kube-router or k3s"
	Calico     Owner = "Calico"
	Docker     Owner = "Docker"
	Firewalld  Owner = "firewalld"
	UFW        Owner = "ufw"
)

// Owners returns all owners except for Host.
func Owners() []Owner {
	return []Owner{Calico, KubeRouter, KubeProxy, Docker, Firewalld, UFW}
}

// Owner returns the program that manages a chain. It depends on the chain's name, and with
// nft on the table's name.
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
	case name == "DOCKER-USER": // Docker does not change this chain, which is for the host's administrator
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

// isFirewalld reports whether a chain belongs to firewalld's iptables backend. The chains
// for direct rules (FORWARD_direct) belong to the host.
func (c *Chain) isFirewalld() bool {
	return hasAnyPrefix(c.Name, "FWD_", "FWDI_", "FWDO_", "IN_", "INPUT_ZONES", "INPUT_POLICIES_",
		"FORWARD_IN_ZONES", "FORWARD_OUT_ZONES", "FORWARD_ZONES", "FORWARD_POLICIES_", "OUTPUT_ZONES", "OUTPUT_POLICIES_")
}

// IsPodChain reports whether a chain is the one in which kube-router denies packets of a
// pod.
func (c *Chain) IsPodChain() bool { return strings.HasPrefix(c.Name, "KUBE-POD-FW-") }

func hasAnyPrefix(name string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}
