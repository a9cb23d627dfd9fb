package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// settings checks the kernel's settings that decide what the agent sees.
func settings(context.Context, *Config) []Finding {
	bridges, err := countBridges()
	return []Finding{bridge(bridges, sysctl("net/bridge/bridge-nf-call-iptables"), err), buffer(receiveBuffer()), clock(isSynchronised())}
}

// bridge is about packets between the ports of a bridge: whether they pass the rules. value
// is the setting bridge-nf-call-iptables.
func bridge(bridges int, value string, err error) Finding {
	const check = "bridge"
	switch {
	case err != nil:
		return note(check, "", "the interfaces are not known: %v", err)
	case bridges == 0:
		return ok(check, "there is no bridge whose packets could pass the rules by")
	case value == "1":
		return ok(check, "packets through bridges pass the rules")
	case value == "0":
		return note(check, "if your network plugin wants it: sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
			"net.bridge.bridge-nf-call-iptables is 0: packets between two pods on one of the %d bridges pass no rule of the IP families", bridges)
	}
	return note(check, "if your network plugin wants it: modprobe br_netfilter",
		"br_netfilter is not loaded: packets between two pods on one of the %d bridges pass no rule of the IP families", bridges)
}

// sysctl returns a setting of this network namespace; "" if there is none.
func sysctl(name string) string {
	value, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(value))
}

// countBridges returns how many interfaces are bridges.
func countBridges() (int, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return 0, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer func() { _ = conn.Close() }() // only read
	messages, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Dump},
		Data:   make([]byte, unix.SizeofIfInfomsg),
	})
	if err != nil {
		return 0, fmt.Errorf("list interfaces: %w", err)
	}
	count := 0
	for _, m := range messages {
		if len(m.Data) > unix.SizeofIfInfomsg && linkKind(m.Data[unix.SizeofIfInfomsg:]) == "bridge" {
			count++
		}
	}
	return count, nil
}

// linkKind returns IFLA_INFO_KIND, "" for a device without one.
func linkKind(attributes []byte) (kind string) {
	ad, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return ""
	}
	for ad.Next() {
		if ad.Type() != unix.IFLA_LINKINFO {
			continue
		}
		ad.Nested(func(nested *netlink.AttributeDecoder) error {
			for nested.Next() {
				if nested.Type() == unix.IFLA_INFO_KIND {
					kind = nested.String()
				}
			}
			return nil
		})
	}
	return kind
}

// wantedBuffer is the receive buffer that the agent requests.
const wantedBuffer = 16 << 20

func buffer(got int, err error) Finding {
	const check = "buffer"
	switch {
	case err != nil:
		return note(check, "", "the receive buffer was not tried: %v", err)
	case got < wantedBuffer:
		return note(check, fmt.Sprintf("give CAP_NET_ADMIN in the initial user namespace, or sysctl -w net.core.rmem_max=%d", wantedBuffer),
			"a receive buffer of %d KiB is all there is, %d KiB are wanted: the kernel loses packets in shorter bursts", got>>10, wantedBuffer>>10)
	}
	return ok(check, "a receive buffer of %d KiB can be had", got>>10)
}

// receiveBuffer requests the agent's receive buffer on a new socket, and returns the size
// that the kernel gives.
func receiveBuffer() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return 0, fmt.Errorf("open a netlink socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, wantedBuffer); err != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, wantedBuffer); err != nil {
			return 0, fmt.Errorf("set the receive buffer: %w", err)
		}
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, fmt.Errorf("read the receive buffer: %w", err)
	}
	return got / 2, nil // the kernel doubles the value for its own bookkeeping
}

// clock is about whether a time service keeps the clock right. The agent needs it, because
// it identifies pods by the time at which they had an address.
func clock(synchronised bool, err error) Finding {
	const check = "clock"
	switch {
	case err != nil:
		return note(check, "", "the clock's state is not known: %v", err)
	case !synchronised:
		return note(check, "run chrony, systemd-timesyncd or ntpd on the node",
			"nothing keeps this host's clock synchronised: events would carry wrong times")
	}
	return ok(check, "the clock is synchronised")
}

// isSynchronised asks the kernel.
func isSynchronised() (bool, error) {
	var state unix.Timex
	if _, err := unix.Adjtimex(&state); err != nil {
		return false, err
	}
	return state.Status&unix.STA_UNSYNC == 0, nil
}
