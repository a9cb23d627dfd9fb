package operate

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// logged is what a JSON line says about the rule that logged a packet.
type logged struct {
	Group       uint16
	Prefix      string
	Port        uint16
	Destination string
	Packets     uint64
}

// TestRules runs the commands of "kube-nflog rules" on a node that drops packets, without
// changes, and reads the packets from the group.
func TestRules(t *testing.T) {
	system.Need(t, "iptables-nft", "ip6tables-nft", "nft", "awk", "tac")
	both := []string{server4.String(), server6.String()}
	tests := []struct {
		name    string
		drops   []string // shell commands that make the node drop
		rules   string   // arguments
		group   uint16
		prefix  string
		servers []string // destinations of the packets that must be logged
	}{
		{
			name:  "the end of a chain",
			drops: []string{"iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP"},
			rules: "--chain FORWARD --group 7 --ipv6 --limit 50/second", group: 7, servers: both,
		},
		{
			name:  "before a rule",
			drops: []string{"iptables -A FORWARD -p udp -j ACCEPT", "iptables -A FORWARD -d 10.20.0.7 -p tcp --dport 8080 -j DROP"},
			rules: "--before|2|--match|-d 10.20.0.7 ! -s 192.0.2.0/24 -p tcp --dport 8080|--prefix|deny: it's $HOME", group: 100,
			prefix: "deny: it's $HOME", servers: both[:1],
		},
		{
			name: "nft, the end of a chain",
			drops: []string{
				"nft add table inet filter",
				"nft 'add chain inet filter forward { type filter hook forward priority filter; policy drop; }'",
			},
			rules: "--backend nft --group 8 --prefix deny: --limit 50/second", group: 8, prefix: "deny:", servers: both,
		},
		{
			name: "nft, before a rule",
			drops: []string{
				"nft add table ip mine",
				"nft 'add chain ip mine out { type filter hook forward priority filter; }'",
				"nft add rule ip mine out tcp dport 8080 drop", // its handle is 2
			},
			rules: "--backend|nft|--table|ip mine|--chain|out|--before|2|--match|tcp dport 8080|--prefix|it's #1: ", group: 100,
			prefix: "it's #1: ", servers: both[:1],
		},
		{name: "calico", drops: calico("iptables", "ip6tables"), rules: "--for|calico|--ipv6|--prefix|calico-drop: |--limit|50/second", group: 100, prefix: "calico-drop: ", servers: both},
		{name: "calico with nftables", drops: calicoNFT(), rules: "--for|calico|--ipv6|--backend|nft|--prefix|calico-drop: ", group: 100, prefix: "calico-drop: ", servers: both},
		{name: "kube-router", drops: kubeRouter(), rules: "--for kube-router", group: 100, servers: both[:1]},
		{name: "k3s", drops: kubeRouter(), rules: "--for k3s", group: 100, servers: both[:1]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			for _, d := range tt.drops {
				s.run(t, "sh", "-ec", d)
			}
			script := s.run(t, append([]string{agentBinary, "rules"}, arguments(tt.rules)...)...)
			t.Logf("the rules:\n%s%s", script, s.run(t, "sh", "-e", "-c", script))
			a := s.startAgent(t, agent.Config{Groups: []uint16{tt.group}})
			s.send(t, client4, server4, 8080, 2)
			s.send(t, client6, server6, 8080, 2)
			system.Must(t, a.Stop(s.ctx))
			var want []logged
			for _, server := range tt.servers {
				want = append(want, logged{Group: tt.group, Prefix: tt.prefix, Packets: 2, Port: 8080, Destination: server})
			}
			if diff := gocmp.Diff(want, sums(t, a)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// arguments splits the text at | if there is one, otherwise at spaces.
func arguments(text string) []string {
	if strings.Contains(text, "|") {
		return strings.Split(text, "|")
	}
	return strings.Fields(text)
}

// sums adds up the agent's lines by destination, in the order in which they came.
func sums(t *testing.T, a *agent.Agent) (all []logged) {
	t.Helper()
	lines, err := a.Lines()
	if err != nil {
		t.Fatal(err)
	}
	at := map[logged]int{}
	for _, l := range lines {
		key := logged{Group: l.Group, Prefix: l.Prefix, Port: l.Destination.Port, Destination: l.Destination.IP}
		if _, ok := at[key]; !ok {
			at[key] = len(all)
			all = append(all, key)
		}
		all[at[key]].Packets += l.Packets
	}
	return all
}

// calico returns the rules that Felix has at the end of a workload's chain.
func calico(commands ...string) (shell []string) {
	for _, c := range commands {
		shell = append(shell,
			c+" -N cali-FORWARD", c+" -N cali-tw-cali1234567890a",
			c+` -A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD`,
			c+` -A cali-FORWARD -m comment --comment "cali:vjrMJCRpqwy5oRoX" -o veth+ -j cali-tw-cali1234567890a`,
			c+` -A cali-tw-cali1234567890a -m comment --comment "cali:1a" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
			c+` -A cali-tw-cali1234567890a -m comment --comment "cali:2b" -m comment --comment "Drop if no policies passed packet" -m mark --mark 0x10000/0x20000 -j DROP`,
			c+` -A cali-tw-cali1234567890a -m comment --comment "cali:3c" -m comment --comment "Drop if no profiles matched" -j DROP`)
	}
	return shell
}

// calicoNFT returns the same rules in Felix's nftables table.
func calicoNFT() (shell []string) {
	for _, family := range []string{"ip", "ip6"} {
		shell = append(shell, `nft -f - <<-'END'
			table `+family+` calico {
				chain filter-cali-tw-cali1234567890a {
					ct state established,related counter packets 0 bytes 0 accept comment "cali:1a;"
					meta mark & 0x00020000 == 0x00010000 counter packets 0 bytes 0 drop comment "cali:2b; Drop if no policies passed packet"
					counter packets 0 bytes 0 drop comment "cali:3c; Drop if no profiles matched"
				}
				chain filter-FORWARD {
					type filter hook forward priority filter; policy accept;
					oifname "veth*" jump filter-cali-tw-cali1234567890a
				}
			}
		END
		`)
	}
	return shell
}

func kubeRouter() []string {
	const chain = "KUBE-POD-FW-QNZFIWPI3QXZQZKJ"
	return []string{
		"iptables -N " + chain,
		"iptables -A FORWARD -d 10.20.0.7 -j " + chain,
		"iptables -A " + chain + ` -m comment --comment "rule to log dropped traffic POD name:api namespace: shop" -m mark ! --mark 0x10000/0x10000 -m limit --limit 10/minute --limit-burst 10 -j NFLOG --nflog-group 100`,
		"iptables -A " + chain + ` -m comment --comment "rule to REJECT traffic destined for POD name:api namespace: shop" -m mark ! --mark 0x10000/0x10000 -j REJECT`,
	}
}

// TestDocumentedRules runs each "kube-nflog rules" command in the documents. A shell checks
// the syntax of its output.
func TestDocumentedRules(t *testing.T) {
	s := newScene(t)
	found := 0
	for _, doc := range []string{"README.md", "docs/rules.md"} {
		text, err := os.ReadFile(filepath.Join(repository, doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:^ {4}|`)(kube-nflog rules --(?:chain|for|backend)[^`\n]*)").FindAllStringSubmatch(string(text), -1) {
			found++
			script := s.run(t, "sh", "-ec", strings.Replace(m[1], "kube-nflog", agentBinary, 1))
			if script == "" {
				t.Errorf("%s: %s prints nothing", doc, m[1])
			}
			s.run(t, "sh", "-n", "-c", script)
		}
	}
	if found < 8 {
		t.Errorf("only %d commands were found", found)
	}
}
