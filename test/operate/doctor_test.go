package operate

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"testing"

	gonflog "github.com/florianl/go-nflog/v2"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// finding is a finding of doctor.
type finding struct {
	Check, Status, Says, Remedy string
}

// doctor runs "kube-nflog doctor" on the node, with the wrapper's command line before it if
// there is one. It returns the findings and the exit status.
func (s *scene) doctor(t *testing.T, wrapper []string, args ...string) ([]finding, int) {
	t.Helper()
	command := append(append([]string{}, wrapper...), agentBinary, "doctor", "--output", "json")
	command = append(command, args...)
	cmd := exec.CommandContext(s.ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG=", "HOME=/nowhere") // the test must not use the developer's cluster
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

// want is an expected finding. Says and Remedy are regular expressions.
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

// TestDoctorWell examines a node where everything is right. The exit status is 0.
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

// TestDoctorHost causes each problem that a host can have.
func TestDoctorHost(t *testing.T) {
	system.Need(t, "setpriv", "unshare", "ip", "iptables-legacy")
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

// TestDoctorGroupTaken examines a node where this process has taken the group.
func TestDoctorGroupTaken(t *testing.T) {
	system.Need(t, "unshare")
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
	t.Cleanup(func() { system.Must(t, taken.Close()) })
	found, status := s.doctor(t, nil)
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found, want{"group", "problem", `group 100 is taken by operate.test \(process \d+\)`, "stop operate.test, or log to another group"})
	// A container sees only its own processes.
	found, _ = s.doctor(t, []string{"unshare", "-p", "-f", "--mount-proc"})
	wantFindings(t, found, want{"group", "note", `read by a process that is not seen from here \(netlink port id \d+`, "ss -f netlink"})
}
