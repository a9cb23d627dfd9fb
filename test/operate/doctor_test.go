package operate

import (
	"encoding/json"
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	gonflog "github.com/florianl/go-nflog/v2"

	"github.com/kube-nflog/kube-nflog/test/agent"
)

// finding is one of doctor's.
type finding struct {
	Check, Status, Says, Remedy string
}

// doctor runs "kube-nflog doctor" on the node, behind a wrapper's command line
// if there is one, and returns its findings and its exit status.
func (s *scene) doctor(t *testing.T, wrapper []string, args ...string) ([]finding, int) {
	t.Helper()
	command := append(append([]string{}, wrapper...), agentBinary, "doctor", "--output", "json")
	command = append(command, args...)
	cmd := exec.CommandContext(s.ctx, command[0], command[1:]...)
	var out []byte
	err := s.node.Do(func() (err error) {
		out, err = cmd.Output()
		return err
	})
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var found []finding
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return found, cmd.ProcessState.ExitCode()
}

// want is a finding that must be there; Says and Remedy are regular expressions.
type want finding

func (w want) in(found []finding) bool {
	for _, f := range found {
		if f.Check == w.Check && f.Status == w.Status &&
			regexp.MustCompile(w.Says).MatchString(f.Says) && regexp.MustCompile(w.Remedy).MatchString(f.Remedy) {
			return true
		}
	}
	return false
}

func wantFindings(t *testing.T, found []finding, wanted ...want) {
	t.Helper()
	for _, w := range wanted {
		if !w.in(found) {
			text, _ := json.MarshalIndent(found, "", "  ")
			t.Errorf("no finding like %+v in:\n%s", w, text)
		}
	}
}

// TestDoctorWell examines a node that has what it needs: exit status 0.
func TestDoctorWell(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	s.startAgent(t, agent.Config{Kubeconfig: s.Kubeconfig})
	found, status := s.doctor(t, nil, "--kubeconfig", s.Kubeconfig)
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found,
		want{"capability", "ok", "CAP_NET_ADMIN is there", "^$"},
		want{"kernel", "ok", "the kernel has NFLOG", "^$"},
		want{"group", "ok", `group 100 is read by kube-nflog-oper \(process \d+\)`, "^$"},
		want{"rules", "ok", "rules that log to NFLOG group 100: 1$", "^$"},
		want{"drops", "ok", "each after a rule that logs: 1$", "^$"},
		want{"bridge", "ok", "no bridge", "^$"},
		want{"api", "ok", "API server at https://198.18.0.1:.* answers", "^$"},
		want{"skew", "ok", "agrees", "^$"},
		want{"rights", "ok", "all 12 permissions", "^$"},
		want{"agent", "ok", `answers at 127.0.0.1:9090; it has received \d+ packets`, "^$"},
	)
	for _, f := range found {
		if f.Status == "problem" {
			t.Errorf("a problem where there is none: %+v", f)
		}
	}
}

// TestDoctorRules provokes what can be wrong with rules.
func TestDoctorRules(t *testing.T) {
	need(t, "nft", "iptables-nft", "iptables-legacy")
	const log = " -j NFLOG --nflog-group 100"
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
				{"drops", "problem", "iptables filter FORWARD, rule 1 .*drops what no rule before it logs", "^iptables -I FORWARD 1 .*-d 10.20.0.7.* -j NFLOG"},
			},
		},
		{
			"a drop of others", "iptables-nft -A FORWARD -p udp" + log + "; iptables-nft -A FORWARD -p udp -j DROP; iptables-nft -A FORWARD -s 10.0.0.0/8 -j REJECT", 0,
			[]want{{"drops", "note", `FORWARD, rule 3 \(-s 10.0.0.0/8\)`, "^iptables -I FORWARD 3 -s 10.0.0.0/8 -j NFLOG --nflog-group 100 --nflog-prefix 'deny: '$"}},
		},
		{
			"a policy", "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP; ip6tables-nft -A FORWARD" + log, 0,
			[]want{{"drops", "note", "iptables filter FORWARD, its policy", "^iptables -A FORWARD -j NFLOG"}},
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
				{"limit", "note", "iptables filter FORWARD, rule 1 logs 10/minute at most", "raise or remove"},
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
				{"drops", "problem", "rule 3 drops", `handle \d+ … log group 100.* # for …, what that rule matches$`},
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

// follow types in what doctor says about drops, as it stands there, and asks
// again: nothing is dropped silently any more.
func (s *scene) follow(t *testing.T, found []finding) {
	t.Helper()
	for _, f := range found {
		if f.Check == "drops" && f.Remedy != "" {
			if strings.Contains(f.Remedy, "…") {
				return // something is to be filled in
			}
			s.run(t, "sh", "-ec", f.Remedy)
		}
	}
	after, _ := s.doctor(t, nil)
	for _, f := range after {
		if f.Check == "drops" && f.Remedy != "" {
			t.Errorf("after its remedies, doctor still says: %+v", f)
		}
	}
}

// TestDoctorHost provokes what can be wrong with the host.
func TestDoctorHost(t *testing.T) {
	need(t, "setpriv", "unshare", "ip", "iptables-legacy")
	s := newScene(t)
	without := []string{"setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"}
	found, status := s.doctor(t, without)
	if status != 1 {
		t.Errorf("exit status %d without CAP_NET_ADMIN", status)
	}
	wantFindings(t, found,
		want{"capability", "problem", "CAP_NET_ADMIN is missing", "NET_ADMIN"},
		want{"buffer", "note", "a receive buffer of \\d+ KiB is all", "rmem_max"},
		want{"rules", "note", "rules of nftables were not read: .*operation not permitted", "run as root"},
	)

	s.run(t, "ip", "link", "add", "br0", "type", "bridge")
	if _, err := s.node.Command(s.ctx, "test", "-e", "/proc/sys/net/bridge/bridge-nf-call-iptables"); err == nil {
		s.run(t, "sh", "-c", "echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables")
		found, _ = s.doctor(t, nil)
		wantFindings(t, found, want{"bridge", "note", "bridge-nf-call-iptables is 0: .* one of the 1 bridges", "sysctl -w"})
		s.run(t, "sh", "-c", "echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables")
		found, _ = s.doctor(t, nil)
		wantFindings(t, found, want{"bridge", "ok", "pass the rules", ""})
	} else {
		found, _ = s.doctor(t, nil)
		wantFindings(t, found, want{"bridge", "note", "br_netfilter is not loaded: .* one of the 1 bridges", "modprobe br_netfilter"})
	}

	s.run(t, "iptables-legacy", "-A", "FORWARD", "-j", "DROP")
	found, _ = s.doctor(t, without)
	wantFindings(t, found, want{"rules", "note", "rules of iptables-legacy are not known: ", "may be run"})
	found, _ = s.doctor(t, []string{"env", "PATH=/nowhere"})
	wantFindings(t, found, want{"rules", "note", "table filter of iptables-legacy: its tool is not here", "install iptables-legacy"})
}

// TestDoctorGroupTaken lets this process take the group.
func TestDoctorGroupTaken(t *testing.T) {
	need(t, "unshare")
	s := newScene(t)
	var taken *gonflog.Nflog
	err := s.node.Do(func() (err error) {
		taken, err = gonflog.Open(&gonflog.Config{Group: 100, Copymode: gonflog.CopyPacket})
		if err != nil {
			return err
		}
		return taken.RegisterWithErrorFunc(s.ctx, func(gonflog.Attribute) int { return 0 }, func(error) int { return 1 })
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, taken.Close()) })
	found, status := s.doctor(t, nil)
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found, want{"group", "problem", `group 100 is taken by operate.test \(process \d+\)`, "stop operate.test, or log to another group"})
	// A container sees its own processes alone.
	found, _ = s.doctor(t, []string{"unshare", "-p", "-f", "--mount-proc"})
	wantFindings(t, found, want{"group", "note", `read by a process that is not seen from here \(netlink port id \d+`, "ss -f netlink"})
}
