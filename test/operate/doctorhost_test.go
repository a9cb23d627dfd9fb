package operate

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestDoctorUser runs doctor as a user who may not read the kernel's tables.
func TestDoctorUser(t *testing.T) {
	system.Need(t, "setpriv")
	s := newScene(t)
	user := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	if _, err := s.node.Command(s.ctx, user[0], append(user[1:], "true")...); err != nil {
		system.Skip(t, "there is no other user here")
	}
	found, status := s.doctor(t, user)
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found,
		want{"capability", "problem", "CAP_NET_ADMIN is missing", "run as root"},
		want{"group", "note", "who owns NFLOG group 100 is not known: .*permission denied", "run as root"},
		want{"rules", "note", "no rule that could be read logs to NFLOG group 100", "see above"},
	)
}

// TestDoctorKernel hides /proc. A kernel that loads NFLOG's module on demand looks like
// this, so doctor must try NFLOG before it reports that there is none. Afterwards nobody
// owns the group that it tried.
func TestDoctorKernel(t *testing.T) {
	system.Need(t, "unshare")
	s := newScene(t)
	found, _ := s.doctor(t, []string{"unshare", "-m", "sh", "-ec", `mount -t tmpfs none /proc; exec "$0" "$@"`})
	wantFindings(t, found,
		want{"capability", "note", "not known", ""},
		want{"kernel", "ok", "the kernel has NFLOG$", "^$"},
	)
	if bound := s.run(t, "cat", "/proc/net/netfilter/nfnetlink_log"); bound != "" {
		t.Errorf("doctor leaves groups bound:\n%s", bound)
	}
}

// TestDoctorClock compares doctor's finding with the kernel's answer.
func TestDoctorClock(t *testing.T) {
	s := newScene(t)
	var state unix.Timex
	if _, err := unix.Adjtimex(&state); err != nil {
		t.Fatal(err)
	}
	clock := want{"clock", "ok", "synchronised", "^$"}
	if state.Status&unix.STA_UNSYNC != 0 {
		clock = want{"clock", "note", "nothing keeps this host's clock synchronised", "chrony"}
	}
	found, _ := s.doctor(t, nil)
	wantFindings(t, found, clock)
}

// TestDoctorDrops examines a node where nothing is dropped, and one with more silent drops
// than doctor lists one by one.
func TestDoctorDrops(t *testing.T) {
	system.Need(t, "iptables-nft")
	s := newScene(t)
	s.run(t, "iptables-nft", "-A", "FORWARD", "-p", "udp", "-j", "NFLOG", "--nflog-group", "100")
	found, status := s.doctor(t, nil)
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found, want{"drops", "note", "no rule drops or rejects anything here", "^$"})

	for port := range 12 {
		s.run(t, "iptables-nft", "-A", "FORWARD", "-p", "tcp", "--dport", fmt.Sprint(port+1), "-j", "DROP")
	}
	found, _ = s.doctor(t, nil)
	wantFindings(t, found,
		want{"drops", "problem", "rule 4 .*drops what no rule before it logs", "--dport 3 "},
		want{"drops", "problem", "^and 2 more places$", "^$"},
	)
}

// TestDoctorGroups expects that doctor asks the agent which groups it reads, unless --group
// is given.
func TestDoctorGroups(t *testing.T) {
	system.Need(t, "iptables-nft")
	s := newScene(t)
	for _, group := range []string{"7", "8"} {
		s.run(t, "iptables-nft", "-A", "FORWARD", "-p", "tcp", "--dport", group, "-j", "NFLOG", "--nflog-group", group)
		s.run(t, "iptables-nft", "-A", "FORWARD", "-p", "tcp", "--dport", group, "-j", "DROP")
	}
	s.startAgent(t, agent.Config{Groups: []uint16{7, 8}})
	found, status := s.doctor(t, nil)
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found,
		want{"group", "ok", "group 7 is read by", ""}, want{"group", "ok", "group 8 is read by", ""},
		want{"rules", "ok", "log to NFLOG group 7: 1$", ""}, want{"rules", "ok", "log to NFLOG group 8: 1$", ""},
		want{"drops", "ok", "each after a rule that logs: 2$", ""},
		want{"agent", "ok", "0 packets of group 8", ""},
	)
	found, status = s.doctor(t, nil, "--group", "9")
	if status != 1 {
		t.Errorf("exit status %d", status)
	}
	wantFindings(t, found, want{"rules", "problem", "no rule logs to NFLOG group 9", "group 7, group 8$"})
}
