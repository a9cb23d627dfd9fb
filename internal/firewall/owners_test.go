package firewall

import "testing"

func TestOwner(t *testing.T) {
	tests := []struct {
		tool, table, name string
		want              Owner
	}{
		{"iptables-legacy", "filter", "cali-tw-cali92d634f8f03", Calico},
		{"iptables-nft", "raw", "cali-rpf-skip", Calico},
		{"nft", "ip calico", "filter-cali-tw-cali92d634f8f03", Calico},
		{"nft", "ip6 calico", "raw-PREROUTING", Calico},
		{"nft", "ip calico-of-mine", "out", Host},
		{"iptables-nft", "filter", "KUBE-POD-FW-QNZFIWPI3QXZQZKJ", KubeRouter},
		{"iptables-nft", "filter", "KUBE-NWPLCY-COMMON", KubeRouter},
		{"iptables-nft", "filter", "KUBE-ROUTER-FORWARD", KubeRouter},
		{"nft", "ip6 kube-router-filter-ipv6", "KUBE-POD-FW-QNZFIWPI3QXZQZKJ", KubeRouter},
		{"iptables-nft", "filter", "KUBE-FIREWALL", KubeProxy},
		{"iptables-nft", "filter", "KUBE-SVC-ABC", KubeProxy},
		{"iptables-nft", "filter", "KUBE-OF-MINE", Host},
		{"nft", "ip kube-proxy", "reject-chain", KubeProxy},
		{"iptables-nft", "filter", "DOCKER", Docker},
		{"iptables-nft", "filter", "DOCKER-ISOLATION-STAGE-2", Docker},
		{"iptables-nft", "filter", "DOCKER-USER", Host},
		{"nft", "ip docker-bridges", "filter-FORWARD", Docker},
		{"nft", "inet firewalld", "filter_FORWARD", Firewalld},
		{"iptables-legacy", "filter", "FWDI_public", Firewalld},
		{"iptables-legacy", "filter", "FORWARD_direct", Host},
		{"iptables-nft", "filter", "ufw-user-forward", UFW},
		{"ip6tables-nft", "filter", "ufw6-user-forward", UFW},
		{"iptables-nft", "filter", "FORWARD", Host},
		{"nft", "inet filter", "forward", Host},
	}
	for _, tt := range tests {
		c := Chain{Tool: tt.tool, Table: tt.table, Name: tt.name}
		if got := c.Owner(); got != tt.want {
			t.Errorf("%s %s %s: owner %q, want %q", tt.tool, tt.table, tt.name, got, tt.want)
		}
	}
}
