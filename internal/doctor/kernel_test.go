package doctor

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/internal/groups"
)

var errUnread = errors.New("permission denied")

// finds compares a finding with the wanted one.
func finds(t *testing.T, want, got Finding) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCapability(t *testing.T) {
	missing := problem("capability", "run as root, or add NET_ADMIN to the container's securityContext.capabilities.add",
		"CAP_NET_ADMIN is missing: no group can be bound, and rules cannot be read")
	tests := []struct {
		name, status string
		want         Finding
	}{
		{"root", "Name:\tx\nCapPrm:\t0\nCapEff:\t000001ffffffffff\n", ok("capability", "CAP_NET_ADMIN is there")},
		{"this one alone", "CapEff:\t0000000000001000\n", ok("capability", "CAP_NET_ADMIN is there")},
		{"all but this one", "CapEff:\t000001ffffffefff\n", missing},
		{"permitted but not effective", "CapPrm:\t0000000000001000\nCapEff:\t0000000000000000\n", missing},
		{"no such line", "Name:\tx\n", note("capability", "", "the capabilities of this process are not known: /proc/self/status has no CapEff")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { finds(t, tt.want, capability(parseCapabilities(tt.status))) })
	}
}

func TestSupport(t *testing.T) {
	tests := []struct {
		name string
		has  bool
		err  error
		want Status
	}{
		{"has NFLOG", true, nil, OK},
		{"has none", false, nil, Problem},
		{"cannot be asked", false, errUnread, Note},
	}
	for _, tt := range tests {
		if got := support(tt.has, tt.err); got.Status != tt.want || got.Check != "kernel" {
			t.Errorf("a kernel that %s: %+v, want %s", tt.name, got, tt.want)
		}
	}
}

func TestGroup(t *testing.T) {
	tests := []struct {
		name  string
		owner *groups.Owner
		err   error
		want  Finding
	}{
		{"free", nil, nil, ok("group", "NFLOG group 7 is free")},
		{"unread", nil, errUnread, note("group", "run as root", "who owns NFLOG group 7 is not known: permission denied")},
		{"the agent", &groups.Owner{PortID: 9, PID: 12, Command: "kube-nflog"}, nil, ok("group", "NFLOG group 7 is read by kube-nflog (process 12)")},
		{
			"another program", &groups.Owner{PortID: 9, PID: 12, Command: "ulogd"}, nil,
			problem("group", "stop ulogd, or log to another group and run kube-nflog with that --group",
				"NFLOG group 7 is taken by ulogd (process 12): a group has one reader"),
		},
		{
			"a process that is not visible", &groups.Owner{PortID: 9}, nil,
			note("group", "if that is not the agent, find it in the node's own process namespace: ss -f netlink -p | grep :9",
				"NFLOG group 7 is read by %s", groups.Owner{PortID: 9}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { finds(t, tt.want, group(7, tt.owner, tt.err)) })
	}
}
