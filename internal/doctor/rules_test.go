package doctor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/internal/firewall"
)

// calico is what Felix writes for two pods, without flow logs. It writes the same for each
// pod, and it drops packets of unknown interfaces.
const calico = `
:FORWARD ACCEPT [0:0]
:cali-FORWARD - [0:0]
:cali-from-wl-dispatch - [0:0]
:cali-to-wl-dispatch - [0:0]
:cali-fw-cali1 - [0:0]
:cali-tw-cali1 - [0:0]
:cali-fw-cali2 - [0:0]
:cali-tw-cali2 - [0:0]
-A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
-A cali-FORWARD -i cali+ -m comment --comment "cali:8ZoYfO5HKXWbB3pk" -j cali-from-wl-dispatch
-A cali-FORWARD -o cali+ -m comment --comment "cali:jdEuaPBe14V2hutn" -j cali-to-wl-dispatch
-A cali-from-wl-dispatch -i cali1 -m comment --comment "cali:bHXL9zWxzC6IixEY" -g cali-fw-cali1
-A cali-from-wl-dispatch -i cali2 -m comment --comment "cali:bHXL9zWxzC6IixEZ" -g cali-fw-cali2
-A cali-from-wl-dispatch -m comment --comment "cali:zTj6P0TIgYvgz-md" -m comment --comment "Unknown interface" -j DROP
-A cali-to-wl-dispatch -o cali1 -m comment --comment "cali:v3sEoNToLYUOg7M6" -g cali-tw-cali1
-A cali-to-wl-dispatch -o cali2 -m comment --comment "cali:v3sEoNToLYUOg7M7" -g cali-tw-cali2
-A cali-to-wl-dispatch -m comment --comment "cali:XGNeZ7jL7MJ6PeId" -m comment --comment "Unknown interface" -j DROP
-A cali-fw-cali1 -m comment --comment "cali:WQJ64LtbzEP_A0C0" -m conntrack --ctstate INVALID -j DROP
-A cali-fw-cali1 -m comment --comment "cali:RBmQDo38EoPmxJ0I" -m comment --comment "Drop if no profiles matched" -j DROP
-A cali-tw-cali1 -m comment --comment "cali:_krp5nzavhAu5avJ" -m conntrack --ctstate INVALID -j DROP
-A cali-tw-cali1 -m comment --comment "cali:RBmQDo38EoPmxJ0J" -m comment --comment "End of tier default. Drop" -j DROP
-A cali-fw-cali2 -m comment --comment "cali:WQJ64LtbzEP_A0C1" -m comment --comment "Drop if no profiles matched" -j DROP
-A cali-tw-cali2 -m comment --comment "cali:WQJ64LtbzEP_A0C2" -m comment --comment "End of tier default. Drop" -j DROP
`

// kubeRouter is what kube-router writes for two pods; the second pod's rules are those of
// newer versions.
const kubeRouter = `
:FORWARD ACCEPT [0:0]
:KUBE-ROUTER-FORWARD - [0:0]
:KUBE-NWPLCY-COMMON - [0:0]
:KUBE-POD-FW-AAAA - [0:0]
:KUBE-POD-FW-BBBB - [0:0]
-A FORWARD -m comment --comment "kube-router netpol - TEMCG2JMHZYE7H7T" -j KUBE-ROUTER-FORWARD
-A KUBE-ROUTER-FORWARD -d 10.0.1.7/32 -m comment --comment "rule to jump traffic destined to POD name:api namespace: shop to chain KUBE-POD-FW-AAAA" -j KUBE-POD-FW-AAAA
-A KUBE-ROUTER-FORWARD -d 10.0.1.8/32 -m comment --comment "shop/db in" -j KUBE-POD-FW-BBBB
-A KUBE-NWPLCY-COMMON -m comment --comment "drop invalid state for pod" -m conntrack --ctstate INVALID -j DROP
-A KUBE-POD-FW-AAAA -m comment --comment "rule for stateful firewall for pod" -j KUBE-NWPLCY-COMMON
-A KUBE-POD-FW-AAAA -m comment --comment "rule to drop invalid state for pod" -m conntrack --ctstate INVALID -j DROP
-A KUBE-POD-FW-AAAA -m comment --comment "rule to log dropped traffic POD name:api namespace: shop" -m mark ! --mark 0x10000/0x10000 -m limit --limit 10/min --limit-burst 10 -j NFLOG --nflog-group 100
-A KUBE-POD-FW-AAAA -m comment --comment "rule to REJECT traffic destined for POD name:api namespace: shop" -m mark ! --mark 0x10000/0x10000 -j REJECT --reject-with icmp-port-unreachable
-A KUBE-POD-FW-BBBB -m comment --comment "shop/p policy" -j KUBE-NWPLCY-COMMON
-A KUBE-POD-FW-BBBB -m comment --comment "shop/db log-drop" -m mark ! --mark 0x10000/0x10000 -m limit --limit 10/min --limit-burst 10 -j NFLOG --nflog-group 100
-A KUBE-POD-FW-BBBB -m comment --comment "shop/db reject" -m mark ! --mark 0x10000/0x10000 -j REJECT --reject-with icmp-port-unreachable
`

// TestOwnedRules checks rules that other programs manage: there is one finding for each
// program, and no command that the program would undo.
func TestOwnedRules(t *testing.T) {
	invalid := note("drops", "", "kube-router drops without a policy, unlogged (iptables-nft KUBE-NWPLCY-COMMON, iptables-nft KUBE-POD-FW-AAAA): "+
		"what belongs to no connection, or goes to a port that no Service has; no NetworkPolicy denies that")
	restart := "kube-router and k3s write their rules anew within minutes (--iptables-sync-period); where the rule stays away, restart them on this node, and look for what takes it out"
	tests := []struct {
		name, rules string
		want        []Finding
	}{
		{"Calico", calico, []Finding{
			problem("rules", "see what is said of Calico below", "no rule logs to NFLOG group 100"),
			problem("drops", "no rule lasts in these chains, as Felix takes those of others out; for a look at this node until then: kube-nflog rules --for calico",
				"Calico drops or rejects in its own chains, unlogged (places: 8, in iptables-nft cali-from-wl-dispatch, iptables-nft cali-fw-cali1, "+
					"iptables-nft cali-fw-cali2, iptables-nft cali-to-wl-dispatch, iptables-nft cali-tw-cali1 and 1 more): what its policies deny is not reported"),
		}},
		{"Calico with flow logs", ":cali-tw-cali1 - [0:0]\n-A cali-tw-cali1 -j NFLOG --nflog-group 1\n-A cali-tw-cali1 -j DROP\n", []Finding{
			problem("rules", "see what is said of Calico below", "no rule logs to NFLOG group 100"),
			problem("drops", "no rule lasts in these chains, as Felix takes those of others out; for a look at this node until then: kube-nflog rules --for calico",
				"Calico drops or rejects in its own chains, unlogged (places: 1, in iptables-nft cali-tw-cali1): what its policies deny is not reported"),
		}},
		{"kube-router", kubeRouter, []Finding{
			ok("rules", "rules that log to NFLOG group 100: 2"),
			note("limit", "", "rules of kube-router or k3s that log 10/min at most, each: 2; counts are lower bounds, and the limit cannot be changed"),
			ok("drops", "places that drop or reject, each after a rule that logs: 2"),
			invalid,
		}},
		{"kube-router with a rule deleted", without(kubeRouter, "shop/db log-drop"), []Finding{
			ok("rules", "rules that log to NFLOG group 100: 1"),
			note("limit", "", "rules of kube-router or k3s that log 10/min at most, each: 1; counts are lower bounds, and the limit cannot be changed"),
			problem("drops", restart, "kube-router rejects without a rule that logs before, so that nothing is reported of: shop/db"),
			invalid,
		}},
		{"kube-router with all rules deleted", without(without(kubeRouter, "shop/db log-drop"), "log dropped"), []Finding{
			problem("rules", "kube-router and k3s add theirs as soon as a NetworkPolicy selects a pod of this node; for other rules see kube-nflog rules --help", "no rule logs to NFLOG group 100"),
			problem("drops", restart, "kube-router rejects without a rule that logs before, so that nothing is reported of: shop/api, shop/db"),
			invalid,
		}},
		{"comments that name no pod", ":KUBE-POD-FW-AAAA - [0:0]\n-A KUBE-POD-FW-AAAA -m comment --comment \"x/\x1b[31my reject\" -j REJECT\n-A KUBE-POD-FW-AAAA -j NFLOG --nflog-group 100\n", []Finding{
			ok("rules", "rules that log to NFLOG group 100: 1"),
			problem("drops", restart, "kube-router rejects without a rule that logs before, so that nothing is reported of: the pod of chain KUBE-POD-FW-AAAA"),
		}},
		{
			"firewalls of the host beside rules that log",
			":FORWARD DROP [0:0]\n:ufw-user-forward - [0:0]\n:DOCKER - [0:0]\n:FWDI_public - [0:0]\n" +
				"-A FORWARD -p udp -j NFLOG --nflog-group 100\n-A FORWARD -p udp -j DROP\n-A FORWARD -j NFLOG --nflog-group 100\n-A ufw-user-forward -p tcp -j DROP\n-A DOCKER ! -i docker0 -o docker0 -j DROP\n-A FWDI_public -j REJECT\n",
			[]Finding{
				ok("rules", "rules that log to NFLOG group 100: 2"),
				ok("drops", "places that drop or reject, each after a rule that logs: 2"),
				note("drops", "", "Docker drops in chains of its own, unlogged (iptables-nft DOCKER): what comes from one of its networks to another, or from outside to a port that is not published. Rules of yours last in its chain DOCKER-USER alone"),
				note("drops", "it writes them anew at each reload; a direct rule lasts, see firewalld in docs/rules.md", "firewalld drops or rejects in chains of its own, unlogged (places: 1, in iptables-nft FWDI_public)"),
				note("drops", "it writes them anew at each reload; a rule in /etc/ufw/after.rules lasts, see ufw in docs/rules.md", "ufw drops or rejects in chains of its own, unlogged (places: 1, in iptables-nft ufw-user-forward)"),
			},
		},
		{"ufw alone", ":ufw-user-forward - [0:0]\n-A ufw-user-forward -p tcp -j DROP\n", []Finding{
			problem("rules", "kube-router and k3s add theirs as soon as a NetworkPolicy selects a pod of this node; for other rules see kube-nflog rules --help", "no rule logs to NFLOG group 100"),
			problem("drops", "it writes them anew at each reload; a rule in /etc/ufw/after.rules lasts, see ufw in docs/rules.md", "ufw drops or rejects in chains of its own, unlogged (places: 1, in iptables-nft ufw-user-forward)"),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := wholly(firewall.ParseSave("iptables-nft", "filter", tt.rules), []uint16{100})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// without removes the lines that contain the text.
func without(rules, text string) (left string) {
	for line := range strings.Lines(rules) {
		if !strings.Contains(line, text) {
			left += line
		}
	}
	return left
}
