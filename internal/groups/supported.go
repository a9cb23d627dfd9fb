package groups

import (
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Constants from linux/netfilter/nfnetlink.h and nfnetlink_log.h.
const (
	subsystem     = unix.NFNL_SUBSYS_ULOG << 8
	msgConfig     = 1 // NFULNL_MSG_CONFIG
	attrCommand   = 1 // NFULA_CFG_CMD
	commandUnbind = 2 // NFULNL_CFG_CMD_UNBIND
)

// Supported reports whether the kernel has NFLOG. It sends a command to the kernel, like an
// agent that binds a group, because the kernel loads the module on demand. An error means
// that the kernel could not be asked. Without CAP_NET_ADMIN it wraps unix.EPERM.
func Supported() (bool, error) {
	if _, err := os.Stat(table); err == nil {
		return true, nil
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return false, nil // the kernel has no netfilter
	}
	if err != nil {
		return false, fmt.Errorf("open a netfilter socket: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing is bound, so nothing is lost
	return supported(conn)
}

// supported tells the kernel to unbind a group that this socket does not own. NFLOG answers
// that this socket has no such group, so no group is changed. A kernel without NFLOG
// answers that it does not know the message.
func supported(conn *netlink.Conn) (bool, error) {
	const group = 0xffff // the same in both byte orders
	unbind, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attrCommand, Data: []byte{commandUnbind}}})
	if err != nil {
		return false, fmt.Errorf("write a message for NFLOG: %w", err)
	}
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: subsystem | msgConfig, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, group >> 8, group & 0xff}, unbind...),
	})
	switch {
	case err == nil, errors.Is(err, unix.ENODEV):
		return true, nil
	case errors.Is(err, unix.EINVAL):
		return false, nil
	}
	return false, fmt.Errorf("ask for NFLOG: %w", err)
}
