package nflog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Config says which group to bind and how the kernel shall batch its packets.
// The zero value of a field takes its default.
type Config struct {
	// Group is the NFLOG group.
	Group uint16
	// CopyRange is how many bytes of a packet the kernel copies, from the
	// network header on; default 128, which holds every header in practice.
	CopyRange uint32
	// ReceiveBuffer is the socket's receive buffer in bytes; default 16 MiB.
	ReceiveBuffer int
	// FlushTimeout bounds how long the kernel keeps a lone packet, in steps of
	// 10 ms; default 100 ms.
	FlushTimeout time.Duration
}

// A datagram is handed over when threshold packets are in it, when it is full,
// or when the flush timeout ends.
const (
	threshold = 500
	// netlinkBuffer is just under 128 KiB, the most that the kernel takes: with
	// its own bookkeeping beside it, the next allocation size would be doubled,
	// and charged twice to the receive buffer.
	netlinkBuffer = 128<<10 - 1024
	// readBuffer exceeds what the kernel can put into one datagram.
	readBuffer = 256 << 10
)

func (c Config) withDefaults() Config {
	if c.CopyRange == 0 {
		c.CopyRange = 128
	}
	if c.ReceiveBuffer == 0 {
		c.ReceiveBuffer = 16 << 20
	}
	if c.FlushTimeout == 0 {
		c.FlushTimeout = 100 * time.Millisecond
	}
	return c
}

// conn is a netlink socket that owns a group.
type conn struct {
	netlink *netlink.Conn
	raw     syscall.RawConn
	group   uint16

	deadline time.Time // of reads, as it was last set but by Stop
}

// dial opens a socket and binds the group. Its error is an *OpenError.
func dial(cfg Config) (*conn, error) {
	n, err := gonflog.Open(&gonflog.Config{Group: cfg.Group, Copymode: gonflog.CopyPacket})
	if err != nil {
		return nil, openError(cfg.Group, err)
	}
	c := &conn{netlink: n.Con, group: cfg.Group}
	if err := c.configure(cfg); err != nil {
		_ = c.netlink.Close() // the first error is the one that matters
		return nil, openError(cfg.Group, err)
	}
	return c, nil
}

// configure sizes the socket's buffer and binds the group.
func (c *conn) configure(cfg Config) error {
	raw, err := c.netlink.SyscallConn()
	if err != nil {
		return fmt.Errorf("get descriptor: %w", err)
	}
	c.raw = raw
	if err := setReceiveBuffer(raw, cfg.ReceiveBuffer); err != nil {
		return fmt.Errorf("set receive buffer: %w", err)
	}
	// One message for all of it: were the bind a message of its own, the first
	// packets would come without sequence numbers and uncut.
	if err := c.send(bindAttributes(cfg)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return c.refusal()
}

// bindAttributes binds a group and sets how it batches. The numbers are in
// network byte order.
func bindAttributes(cfg Config) func(*netlink.AttributeEncoder) {
	return func(ae *netlink.AttributeEncoder) {
		ae.ByteOrder = binary.BigEndian
		ae.Uint8(cfgCmd, cmdBind)
		ae.Bytes(cfgMode, append(binary.BigEndian.AppendUint32(nil, cfg.CopyRange), copyPacket, 0))
		ae.Uint32(cfgNetlinkBuffer, netlinkBuffer)
		ae.Uint32(cfgTimeout, max(1, uint32(cfg.FlushTimeout/(10*time.Millisecond))))
		ae.Uint32(cfgThreshold, threshold)
		ae.Uint16(cfgFlags, flagSeq)
	}
}

// unbind gives the group up. The kernel puts what it still held into the
// socket before it returns, to be read as ever.
func (c *conn) unbind() error {
	err := c.send(func(ae *netlink.AttributeEncoder) { ae.Uint8(cfgCmd, cmdUnbind) })
	if err != nil {
		return fmt.Errorf("unbind: %w", err)
	}
	return nil
}

// send sends a configuration message for the group: struct nfgenmsg, then the
// attributes. It asks for no acknowledgement, which could stand behind packets
// in the socket; the kernel has acted on the message when send returns.
func (c *conn) send(attributes func(*netlink.AttributeEncoder)) error {
	ae := netlink.NewAttributeEncoder()
	attributes(ae)
	encoded, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, c.group)
	_, err = c.netlink.Send(netlink.Message{
		Header: netlink.Header{Type: msgConfig, Flags: netlink.Request},
		Data:   append(header, encoded...),
	})
	return err
}

// refusal returns the kernel's error if it refused the bind. Then nothing but
// that error is in the socket; otherwise there are packets or nothing, which a
// peek leaves where they are.
func (c *conn) refusal() error {
	var answer [sizeMessageHeader + 4]byte // struct nlmsgerr begins with the errno
	var n int
	var peek error
	err := c.raw.Control(func(fd uintptr) {
		n, _, peek = unix.Recvfrom(int(fd), answer[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	if err != nil || errors.Is(peek, unix.EAGAIN) {
		return err
	}
	if peek == nil && n == len(answer) && binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		if errno := -int32(binary.NativeEndian.Uint32(answer[sizeMessageHeader:])); errno != 0 {
			return fmt.Errorf("bind: %w", unix.Errno(errno))
		}
	}
	return peek
}

// setReceiveBuffer asks past net.core.rmem_max where the process may
// (CAP_NET_ADMIN in the initial user namespace), else for what it allows.
func setReceiveBuffer(raw syscall.RawConn, bytes int) error {
	var set error
	err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
		if errors.Is(set, unix.EPERM) {
			set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
		}
	})
	return errors.Join(err, set)
}
