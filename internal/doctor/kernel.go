package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/internal/groups"
)

// kernel checks what a reader of the group needs.
func kernel(_ context.Context, cfg *Config) []Finding {
	found := []Finding{capability(readCapabilities()), support(groups.Supported())}
	for _, g := range cfg.Groups {
		owner, err := groups.Find(g)
		found = append(found, group(g, owner, err))
	}
	return found
}

// readCapabilities returns the effective capabilities of this process.
func readCapabilities() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	return parseCapabilities(string(status))
}

// parseCapabilities reads the format of /proc/self/status.
func parseCapabilities(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, errors.New("/proc/self/status has no CapEff")
}

func capability(effective uint64, err error) Finding {
	const check = "capability"
	switch {
	case err != nil:
		return note(check, "", "the capabilities of this process are not known: %v", err)
	case effective&(1<<unix.CAP_NET_ADMIN) == 0:
		return problem(check, "run as root, or add NET_ADMIN to the container's securityContext.capabilities.add",
			"CAP_NET_ADMIN is missing: no group can be bound, and rules cannot be read")
	}
	return ok(check, "CAP_NET_ADMIN is there")
}

func support(has bool, err error) Finding {
	const check = "kernel"
	switch {
	case err != nil:
		return note(check, "run as root", "whether the kernel has NFLOG is not known: %v", err)
	case has:
		return ok(check, "the kernel has NFLOG")
	}
	return problem(check, "take a kernel with CONFIG_NETFILTER_NETLINK_LOG, or load the module now and at each start: modprobe nfnetlink_log; echo nfnetlink_log >/etc/modules-load.d/kube-nflog.conf",
		"the kernel has no NFLOG, and did not load its module when asked")
}

// group is about who reads a group; owner is nil for nobody.
func group(number uint16, owner *groups.Owner, err error) Finding {
	const check = "group"
	switch {
	case err != nil:
		return note(check, "run as root", "who owns NFLOG group %d is not known: %v", number, err)
	case owner == nil:
		return ok(check, "NFLOG group %d is free", number)
	case strings.HasPrefix(owner.Command, "kube-nflog"):
		return ok(check, "NFLOG group %d is read by %s", number, owner)
	case owner.PID == 0:
		return note(check, fmt.Sprintf("if that is not the agent, find it in the node's own process namespace: ss -f netlink -p | grep :%d", owner.PortID),
			"NFLOG group %d is read by %s", number, owner)
	}
	return problem(check, fmt.Sprintf("stop %s, or log to another group and run kube-nflog with that --group", owner.Command),
		"NFLOG group %d is taken by %s: a group has one reader", number, owner)
}
