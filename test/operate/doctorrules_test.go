package operate

import (
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestDoctorRules causes each problem that rules can have.
func TestDoctorRules(t *testing.T) {
	system.Need(t, "nft", "iptables-nft", "iptables-legacy")
	const log, limit = " -j NFLOG --nflog-group 100", " -m limit --limit 10/minute --limit-burst 10"
	tests := []struct {
		name   string
		setup  string
		status int
		want   []want
	}{
		{"no rule", "true", 1, []want{{"rules", "problem", "no rule logs to NFLOG group 100", "kube-nflog rules --help"}}},
		{
			"another group", "iptables-nft -A FORWARD -j NFLOG --nflog-group 7", 1,
			[]want{{"rules", "problem", "no rule logs", "there are rules for group 7$"}},
		},
		{
			"rule after the DROP",
			"iptables-nft -A FORWARD -d 10.20.0.7 -p tcp --dport 8080 -j DROP; iptables-nft -A FORWARD -d 10.20.0.7" + log, 1,
			[]want{
				{"rules", "ok", "rules that log to NFLOG group 100: 1$", ""},
				{"drops", "problem", "iptables-nft filter FORWARD, rule 1 .*drops what no rule before it logs", "^iptables-nft -I FORWARD 1 .*-d 10.20.0.7.* -j NFLOG"},
			},
		},
		{
			"a drop of others", "iptables-nft -A FORWARD -p udp" + log + "; iptables-nft -A FORWARD -p udp -j DROP; iptables-nft -A FORWARD -s 10.0.0.0/8 -j REJECT", 0,
			[]want{{"drops", "note", `FORWARD, rule 3 \(-s 10.0.0.0/8\)`, "^iptables-nft -I FORWARD 3 -s 10.0.0.0/8 -j NFLOG --nflog-group 100 --nflog-prefix 'deny: '$"}},
		},
		{
			"a policy", "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP; ip6tables-nft -A FORWARD" + log, 0,
			[]want{{"drops", "note", "iptables-nft filter FORWARD, its policy", "^iptables-nft -A FORWARD -j NFLOG"}},
		},
		{
			"legacy rules", "iptables-legacy -A FORWARD -i veth+ -d 10.20.0.7/32 -m comment --comment 'a -j ACCEPT' -j DROP", 1,
			[]want{
				{"rules", "problem", "no rule logs", ""},
				{"drops", "problem", `iptables-legacy filter FORWARD, rule 1 \(-d 10.20.0.7/32 -i veth\+\)`, `^iptables-legacy -I FORWARD 1 -d 10.20.0.7/32 -i veth\+ -j NFLOG|^iptables-legacy -I FORWARD 1 -d 10.20.0.7/32 -i 'veth\+' -j NFLOG`},
			},
		},
		{
			"legacy rules that log", "iptables-legacy -A FORWARD -m limit --limit 10/minute" + log + " --nflog-size 20 --nflog-threshold 5; iptables-legacy -A FORWARD -j DROP", 1,
			[]want{
				{"rules", "ok", "rules that log to NFLOG group 100: 1$", ""},
				{"limit", "note", "iptables-legacy filter FORWARD, rule 1 logs 10/min at most", "raise or remove"},
				{"threshold", "note", "at most 5 packets at a time", "nflog-threshold"},
				{"size", "problem", "only 20 bytes", "nflog-size"},
				{"drops", "ok", "each after a rule that logs: 1$", ""},
			},
		},
		{
			"limits, thresholds and sizes", "iptables-nft -A FORWARD -m limit --limit 10/minute" + log + " --nflog-size 20 --nflog-threshold 5; iptables-nft -A FORWARD -j DROP", 1,
			[]want{
				{"limit", "note", "iptables-nft filter FORWARD, rule 1 logs 10/minute at most", "raise or remove"},
				{"threshold", "note", "at most 5 packets at a time", "nflog-threshold"},
				{"size", "problem", "only 20 bytes", "nflog-size"},
				{"drops", "ok", "each after a rule that logs: 1$", ""},
			},
		},
		{
			"nft", `nft 'table inet mine { chain out { type filter hook forward priority 0; ip saddr 10.0.0.0/8 tcp dport 80 drop; meta l4proto udp iifname "veth*" drop; ct mark 7 drop; }; }'`, 1,
			[]want{
				{"drops", "problem", `nft inet mine out, rule 1 \(meta nfproto ipv4 ip saddr 10.0.0.0/8 meta l4proto tcp tcp dport 80\)`, `^nft 'insert rule inet mine out handle \d+ meta nfproto ipv4 ip saddr 10.0.0.0/8 meta l4proto tcp tcp dport 80 log group 100 prefix "deny: "'$`},
				{"drops", "problem", "rule 2", `meta l4proto udp iifname "veth\*" log group 100`},
				{"drops", "problem", "rule 3 drops", `handle \d+ .* nft -f -$`},
			},
		},
		{
			"without words for it", `iptables-nft -A FORWARD -m comment --comment 'we DROP -j ACCEPT' -m conntrack --ctstate INVALID -j DROP; ip6tables-nft -t mangle -A FORWARD -m mark --mark 7 -j DROP`, 1,
			[]want{
				{"drops", "problem", "iptables-nft filter FORWARD, rule 1 drops", `^printf .* iptables-nft-restore -n$`},
				{"drops", "problem", "ip6tables-nft mangle FORWARD, rule 1 drops", `ip6tables-nft -t mangle -S FORWARD 1 .* ip6tables-nft-restore -n$`},
			},
		},
		{
			"words with spaces", `iptables-legacy -A FORWARD -m string --algo bm --string 'GET /' -j REJECT`, 1,
			[]want{{"drops", "problem", "iptables-legacy filter FORWARD, rule 1 drops", `iptables-legacy-restore -n$`}},
		},
		{
			"nft, with all that a rule may have", `nft 'table inet mine { chain out { type filter hook forward priority 0; ct state invalid counter packets 7 bytes 420 log prefix "will drop " level warn flags tcp options drop comment "we drop or reject"; ct mark 7 log flags all reject with tcp reset; }; }'`, 1,
			[]want{{"drops", "problem", "nft inet mine out, rule 1 drops", ""}, {"drops", "problem", "nft inet mine out, rule 2 drops", ""}},
		},
		{
			"nft, with sets of no name", `nft 'table inet mine { chain out { type filter hook forward priority 0; udp dport { 53, 54 } log group 100; udp dport { 54, 53 } drop; udp dport { 53, 55 } drop; ip saddr { 10.0.0.0/8, 172.16.0.1-172.16.0.9 } drop; }; }'`, 0,
			[]want{
				{"drops", "note", "nft inet mine out, rule 3 drops", "nft -f -$"},
				{"drops", "note", "nft inet mine out, rule 4 drops", "nft -f -$"},
			},
		},
		{
			"kube-proxy alone", kubeProxy, 1,
			[]want{
				{"rules", "problem", "no rule logs", ""},
				{"drops", "note", "no other rule drops or rejects anything here", "^$"},
				{"drops", "note", `unlogged \(iptables-nft KUBE-FIREWALL, iptables-nft KUBE-FORWARD, iptables-nft KUBE-SERVICES, nft forward\)`, "^$"},
			},
		},
		{
			"kube-proxy beside others", kubeProxy + "; iptables-nft -A FORWARD -p udp" + log + "; iptables-nft -A FORWARD -p udp -j DROP", 0,
			[]want{
				{"drops", "ok", "each after a rule that logs: 1$", "^$"},
				{"drops", "note", `KUBE-FORWARD`, "^$"},
			},
		},
		{
			"jumps", `nft 'table inet mine { chain deny { drop; }; chain out { type filter hook forward priority 0; tcp dport 80 log group 100; tcp dport 80 goto deny; }; }'`, 0,
			[]want{{"drops", "ok", "each after a rule that logs: 1$", ""}},
		},
		{
			"jumps, one of them without a rule", `nft 'table inet mine { chain deny { drop; }; chain out { type filter hook forward priority 0; tcp dport 80 log group 100; tcp dport 80 goto deny; udp dport 53 goto deny; }; }'`, 1,
			[]want{{"drops", "problem", "nft inet mine deny, rule 1 drops", "^nft 'insert rule inet mine deny handle"}},
		},
		{
			"nft, verdict maps", `nft 'table inet mine { map m { type inet_service : verdict; elements = { 80 : drop, 443 : accept, 22 : goto deny } ; }; chain deny { drop; }
				chain out { type filter hook forward priority 0; tcp dport 22 log group 100; tcp dport vmap @m; ip saddr vmap { 10.0.0.1 : drop, 10.0.0.2 : accept }; ct state vmap { invalid : drop }; udp dport vmap { 53-54 : drop }; }; }'`, 0,
			[]want{
				{"drops", "note", `out, rule 2 \(meta l4proto tcp tcp dport 80\) drops`, `handle \d+ meta l4proto tcp tcp dport 80 log group 100`},
				{"drops", "note", `out, rule 3 \(meta nfproto ipv4 ip saddr 10.0.0.1\) drops`, `ip saddr 10.0.0.1 log group 100`},
				{"drops", "note", `out, rule 4 \(its verdict map\) drops`, `^$`},
				{"drops", "note", `out, rule 5 \(its verdict map\) drops`, `^$`},
			},
		},
		{
			"nft, jumps by a verdict map without a rule", `nft 'table inet mine { chain deny { drop; }; chain out { type filter hook forward priority 0; tcp dport 22 log group 100; tcp dport vmap { 22 : goto deny, 23 : goto deny }; }; }'`, 1,
			[]want{{"drops", "problem", "nft inet mine deny, rule 1 drops", "^nft 'insert rule inet mine deny handle"}},
		},
		{
			"kube-router", podChains("iptables-nft", log+limit), 0,
			[]want{
				{"limit", "note", "^rules of kube-router or k3s that log 10/minute at most, each: 2; ", "^$"},
				{"drops", "ok", "each after a rule that logs: 2$", "^$"},
			},
		},
		{
			"kube-router, an NFLOG rule deleted", podChains("iptables-nft", log+limit) + "; iptables-nft -D KUBE-POD-FW-B 1", 1,
			[]want{{"drops", "problem", "kube-router rejects without a rule .*: shop/db$", "restart them on this node"}},
		},
		{
			"kube-router on iptables-legacy, all NFLOG rules deleted", podChains("iptables-legacy", ""), 1,
			[]want{{"drops", "problem", "kube-router rejects without a rule .*: shop/api, shop/db$", "restart them on this node"}},
		},
		{
			"kube-router's nftables mode", `nft 'table ip kube-router-filter-ipv4 { chain KUBE-POD-FW-A { meta mark and 0x10000 == 0x0 limit rate 10/minute burst 10 packets log group 100 comment "shop/api log-drop"; meta mark and 0x10000 == 0x0 reject comment "shop/api reject"; }
				chain KUBE-POD-FW-B { meta mark and 0x10000 == 0x0 reject comment "shop/db reject"; }
				chain KUBE-ROUTER-FORWARD { type filter hook forward priority 0; ip daddr 10.0.1.7 jump KUBE-POD-FW-A; ip daddr 10.0.1.8 jump KUBE-POD-FW-B; }; }'`, 1,
			[]want{
				{"limit", "note", "^rules of kube-router or k3s that log 10/minute at most, each: 1; ", "^$"},
				{"drops", "problem", "kube-router rejects without a rule .*: shop/db$", "restart them on this node"},
			},
		},
		{
			"Calico", `iptables-nft -N cali-tw-cali1; iptables-nft -A FORWARD -o cali1 -m comment --comment cali:jdEuaPBe14V2hutn -g cali-tw-cali1
				for table in ip ip6; do nft "table $table calico { map filter-cali-to-wl-dispatch { type ifname : verdict; elements = { cali1 : goto filter-cali-tw-cali1 } ; }; chain filter-cali-tw-cali1 { ct state invalid counter drop; counter drop comment \"cali: End of tier default. Drop\"; }
				chain filter-FORWARD { type filter hook forward priority 0; oifname vmap @filter-cali-to-wl-dispatch; counter drop; }; }"; done
				iptables-nft -A cali-tw-cali1 -m conntrack --ctstate INVALID -j DROP; iptables-nft -A cali-tw-cali1 -m comment --comment "End of tier default. Drop" -j DROP`, 1,
			[]want{
				{"rules", "problem", "no rule logs to NFLOG group 100", "see what is said of Calico below"},
				{"drops", "problem", `^Calico drops or rejects in its own chains, unlogged \(places: 8, in iptables-nft cali-tw-cali1, nft filter-FORWARD, nft filter-cali-tw-cali1\)`, "for a look .*: kube-nflog rules --for calico.*, kube-nflog rules --for calico"},
			},
		},
		{
			"ufw and firewalld", `iptables-nft -N ufw-user-forward; iptables-nft -A FORWARD -j ufw-user-forward; iptables-nft -A ufw-user-forward -p tcp -j DROP
				nft 'table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; ct state invalid drop; reject with icmpx admin-prohibited; }; }'`, 1,
			[]want{
				{"drops", "problem", `^ufw drops or rejects .*\(places: 1, in iptables-nft ufw-user-forward\)`, "/etc/ufw/after.rules lasts"},
				{"drops", "problem", `^firewalld drops or rejects .*\(places: 2, in nft filter_FORWARD\)`, "a direct rule lasts"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			s.run(t, "sh", "-ec", tt.setup)
			found, status := s.doctor(t, nil)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			wantFindings(t, found, tt.want...)
			s.follow(t, found)
		})
	}
}

// podChains returns kube-router's rules for two pods, as its versions before and after 2.10
// write them. The first rule of each chain has the given target.
func podChains(tool, target string) string {
	script := "true"
	for _, pod := range [][4]string{
		{"A", "10.0.1.7", "rule to log dropped traffic POD name:api namespace: shop", "rule to REJECT traffic destined for POD name:api namespace: shop"},
		{"B", "10.0.1.8", "shop/db log-drop", "shop/db reject"},
	} {
		chain, unmarked := "KUBE-POD-FW-"+pod[0], " -m mark ! --mark 0x10000/0x10000"
		script += "; " + tool + " -N " + chain + "; " + tool + " -A FORWARD -d " + pod[1] + " -j " + chain
		if target != "" {
			script += "; " + tool + " -A " + chain + " -m comment --comment '" + pod[2] + "'" + unmarked + target
		}
		script += "; " + tool + " -A " + chain + " -m comment --comment '" + pod[3] + "'" + unmarked + " -j REJECT"
	}
	return script
}

// kubeProxy creates the rules of kube-proxy and the kubelet that drop, also those of
// kube-proxy's nftables mode.
const kubeProxy = `iptables-nft-restore <<'END'
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-SERVICES -d 10.96.0.7/32 -p tcp -m comment --comment "shop/api has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
COMMIT
END
nft 'table ip kube-proxy { chain forward { type filter hook forward priority -110; ct state invalid drop; }; }'`

// follow runs the commands that doctor prints for drops, without changes, and asks again.
// Then only chains of other programs drop silently, and doctor prints no command for those.
func (s *scene) follow(t *testing.T, found []finding) {
	t.Helper()
	isCommand := regexp.MustCompile(`^(iptables|ip6tables|nft|printf)\b`).MatchString
	for _, f := range found {
		if f.Check == "drops" && isCommand(f.Remedy) {
			s.run(t, "sh", "-ec", f.Remedy)
		}
	}
	after, _ := s.doctor(t, nil)
	for _, f := range after {
		if f.Check == "drops" && isCommand(f.Remedy) {
			t.Errorf("after its remedies, doctor still says: %+v", f)
		}
	}
}

// TestDoctorOrder runs doctor's commands for several rules of a chain. Each command must
// find its rule, although the earlier commands added rules before it.
func TestDoctorOrder(t *testing.T) {
	system.Need(t, "iptables-nft")
	s := newScene(t)
	s.run(t, "sh", "-ec", `iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -s 10.0.0.0/8 -j DROP
		iptables-nft -A FORWARD -p udp -j ACCEPT; iptables-nft -A FORWARD -m conntrack --ctstate INVALID -j DROP`)
	found, _ := s.doctor(t, nil)
	s.follow(t, found)
	const log = ` -j NFLOG --nflog-prefix "deny: " --nflog-group 100`
	want := []string{
		"-P FORWARD DROP", "-A FORWARD -s 10.0.0.0/8" + log, "-A FORWARD -s 10.0.0.0/8 -j DROP", "-A FORWARD -p udp -j ACCEPT",
		"-A FORWARD -m conntrack --ctstate INVALID" + log, "-A FORWARD -m conntrack --ctstate INVALID -j DROP", "-A FORWARD" + log,
	}
	got := strings.Split(strings.TrimSpace(s.run(t, "iptables-nft", "-S", "FORWARD")), "\n")
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
