package doctor

import (
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func TestBridge(t *testing.T) {
	const remedy = "if your network plugin wants it: "
	tests := []struct {
		name    string
		bridges int
		value   string
		err     error
		want    Finding
	}{
		{"no bridge", 0, "0", nil, ok("bridge", "there is no bridge whose packets could pass the rules by")},
		{"rules apply", 2, "1", nil, ok("bridge", "packets through bridges pass the rules")},
		{
			"rules do not apply", 2, "0", nil,
			note("bridge", remedy+"sysctl -w net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
				"net.bridge.bridge-nf-call-iptables is 0: packets between two pods on one of the 2 bridges pass no rule of the IP families"),
		},
		{
			"no module", 2, "", nil,
			note("bridge", remedy+"modprobe br_netfilter",
				"br_netfilter is not loaded: packets between two pods on one of the 2 bridges pass no rule of the IP families"),
		},
		{"unread", 0, "1", errUnread, note("bridge", "", "the interfaces are not known: permission denied")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { finds(t, tt.want, bridge(tt.bridges, tt.value, tt.err)) })
	}
}

// TestLinkKind reads the attributes of a bridge, of a device without a kind, and of a
// message that is cut off.
func TestLinkKind(t *testing.T) {
	encode := func(kind string) []byte {
		e := netlink.NewAttributeEncoder()
		e.String(unix.IFLA_IFNAME, "br0")
		if kind != "" {
			e.Nested(unix.IFLA_LINKINFO, func(nested *netlink.AttributeEncoder) error {
				nested.String(unix.IFLA_INFO_KIND, kind)
				return nil
			})
		}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, kind := range []string{"bridge", "veth", ""} {
		if got := linkKind(encode(kind)); got != kind {
			t.Errorf("%q, want %q", got, kind)
		}
	}
	for n := range encode("bridge") {
		if got := linkKind(encode("bridge")[:n]); got == "bridge" && n < len(encode("bridge"))-4 {
			t.Errorf("%q from %d bytes", got, n)
		}
	}
}

func TestBuffer(t *testing.T) {
	finds(t, ok("buffer", "a receive buffer of 16384 KiB can be had"), buffer(wantedBuffer, nil))
	finds(t, note("buffer", "", "the receive buffer was not tried: permission denied"), buffer(0, errUnread))
	finds(t, note("buffer", "give CAP_NET_ADMIN in the initial user namespace, or sysctl -w net.core.rmem_max=16777216",
		"a receive buffer of 208 KiB is all there is, 16384 KiB are wanted: the kernel loses packets in shorter bursts"), buffer(208<<10, nil))
}

func TestClock(t *testing.T) {
	finds(t, ok("clock", "the clock is synchronised"), clock(true, nil))
	finds(t, note("clock", "", "the clock's state is not known: permission denied"), clock(false, errUnread))
	finds(t, note("clock", "run chrony, systemd-timesyncd or ntpd on the node",
		"nothing keeps this host's clock synchronised: events would carry wrong times"), clock(false, nil))
}
