package test

import (
	"fmt"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// k3s returns the rules that k3s makes from two policies of the server. One allows port
// 9090 and the other one port 8081. Each policy's rule logs what the policy does not allow.
// The pod's rule logs what no policy allows.
func k3s(s *scene) (commands [][]string) {
	const mark = "0x10000/0x10000"
	rule := func(chain string, args ...string) {
		commands = append(commands, append([]string{"iptables-nft", "-A", chain}, args...))
	}
	logged := func(chain string, prefix ...string) {
		args := append([]string{"-m", "mark", "!", "--mark", mark, "-j", "NFLOG", "--nflog-group", "100"}, prefix...)
		rule(chain, append(args, "-m", "limit", "--limit", "10/minute", "--limit-burst", "10")...)
	}
	for _, chain := range []string{"KUBE-POD-FW-X", "KUBE-NWPLCY-A", "KUBE-NWPLCY-B"} {
		commands = append(commands, []string{"iptables-nft", "-N", chain})
	}
	rule("FORWARD", "-d", s.server.v4.String(), "-j", "KUBE-POD-FW-X")
	for _, p := range []struct{ chain, name, port string }{{"KUBE-NWPLCY-A", "a", "9090"}, {"KUBE-NWPLCY-B", "b", "8081"}} {
		rule("KUBE-POD-FW-X", "-j", p.chain)
		rule(p.chain, "-p", "tcp", "--dport", p.port, "-j", "MARK", "--set-xmark", mark)
		logged(p.chain, "--nflog-prefix", "DROP by policy "+s.namespace+"/"+p.name)
	}
	logged("KUBE-POD-FW-X")
	rule("KUBE-POD-FW-X", "-m", "mark", "!", "--mark", mark, "-j", "DROP")
	return commands
}

// TestK3sDuplicates sends packets that both policies and the pod's rule log: they become one
// event. It also sends packets that one policy logs and the other allows: they become no
// event.
func TestK3sDuplicates(t *testing.T) {
	system.Need(t, "iptables-nft")
	s := newScene(t)
	for _, command := range k3s(s) {
		s.run(t, command...)
	}
	a := s.startReady(t, agent.Config{})
	denied, allowed := s.tcp(8080, 5), s.tcp(8081, 3)
	system.Must(t, s.client.Send(denied.Packet, denied.count))
	system.Must(t, s.client.Send(allowed.Packet, allowed.count))
	s.awaitReceived(t, a, 18)
	s.awaitMetric(t, a, 3, "kube_nflog_packets_unconfirmed_total")
	s.awaitMetric(t, a, 10, "kube_nflog_packets_duplicate_total")
	s.awaitMetric(t, a, 5, "kube_nflog_drops_total")
	metrics, err := a.Metrics(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"packets_received": 18, "packets_folded": 18, "packets_duplicate": 10, "packets_unconfirmed": 3, "drops": 5,
	} {
		if got := metrics.Sum("kube_nflog_" + name + "_total"); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	system.Must(t, a.Stop(s.ctx))
	why := fmt.Sprintf(": denied by NetworkPolicy %s/a, %[1]s/b. At least this many packets: the rule that logs has a limit of 10/minute", s.namespace)
	s.wantEvents(t, "server", s.received(denied, why))
	s.wantEvents(t, "client", s.sent(denied, why))
}

// TestCalicoAllowed expects that packets are ignored if the prefix says that Calico allowed
// them.
func TestCalicoAllowed(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nftables(s,
		`tcp dport 8081 log prefix "API0|np/shop/default.a" group 100`,
		`tcp dport 8082 log prefix "PPI|tier" group 100`,
		`tcp dport 8080 log prefix "DPI0|np/shop/default.a" group 100`,
		`drop`)[0]...)
	a := s.startReady(t, agent.Config{})
	denied, allowed, passed := s.tcp(8080, 2), s.tcp(8081, 3), s.tcp(8082, 4)
	for _, p := range []burst{allowed, passed, denied} {
		system.Must(t, s.client.Send(p.Packet, p.count))
	}
	s.awaitReceived(t, a, 9)
	metrics, err := a.Metrics(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"received": 9, "folded": 2, "ignored": 7} {
		if got := metrics.Sum("kube_nflog_packets_" + name + "_total"); got != want {
			t.Errorf("packets %s: %v, want %v", name, got, want)
		}
	}
	system.Must(t, a.Stop(s.ctx))
	s.wantEvents(t, "server", s.received(denied, ` (NFLOG prefix "DPI0|np/shop/default.a"): denied by Calico NetworkPolicy shop/default.a`))
}
