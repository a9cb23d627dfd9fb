package groups

import (
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What linux/netfilter/nfnetlink.h and nfnetlink_log.h name so.
const (
	subsystem     = unix.NFNL_SUBSYS_ULOG << 8
	msgConfig     = 1 // NFULNL_MSG_CONFIG
	attrCommand   = 1 // NFULA_CFG_CMD
	commandUnbind = 2 // NFULNL_CFG_CMD_UNBIND
)

// Supported reports whether the kernel has NFLOG. It sends the kernel a command,
// as an agent that binds a group does: the kernel then loads the module that is
// missing until somebody needs it. The error says why the kernel could not be
// asked; without CAP_NET_ADMIN it wraps unix.EPERM.
func Supported() (bool, error) {
	if _, err := os.Stat(table); err == nil {
		return true, nil
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return false, nil // no netfilter at all
	}
	if err != nil {
		return false, fmt.Errorf("open a netfilter socket: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing is bound
	return supported(conn)
}

// supported has the kernel unbind a group that this socket does not have. NFLOG
// answers that there is no such group of this socket, so that nobody's group is
// touched; a kernel without it answers that the message means nothing.
func supported(conn *netlink.Conn) (bool, error) {
	const group = 0xffff // the same in either order of bytes
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
