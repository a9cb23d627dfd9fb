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

// Config is which group to bind and how the kernel batches its packets. A field that
// is zero takes its default.
type Config struct {
	// Group is the NFLOG group.
	Group uint16
	// CopyRange is how many bytes of a packet the kernel copies, from the network
	// header on; default 128, which holds all headers in practice.
	CopyRange uint32
	// ReceiveBuffer is the socket's receive buffer in bytes; default 16 MiB.
	ReceiveBuffer int
	// FlushTimeout bounds how long the kernel keeps a lone packet, in steps of 10 ms;
	// default 100 ms.
	FlushTimeout time.Duration
	// AwaitGroup makes Open succeed even if another process owns the group. Read then
	// tries to bind it, with growing pauses, until it is free.
	AwaitGroup bool
	// OnIdle is called with true when Read begins to wait and may wait for more than
	// half a minute, and with false when that wait is over. Read works on no packet in
	// between. Nil for no call.
	OnIdle func(idle bool)
}

// The kernel hands a datagram over when it holds threshold packets, when it is full,
// or when the flush timeout ends.
const (
	threshold = 500
	// netlinkBuffer is just under 128 KiB, which is the most that the kernel accepts.
	// With 128 KiB the kernel's bookkeeping would not fit beside it, the allocation
	// would double, and the receive buffer would be charged twice.
	netlinkBuffer = 128<<10 - 1024
	// readBuffer exceeds what the kernel can put into one datagram.
	readBuffer = 256 << 10
	// largeBuffer is the smallest receive buffer that the Reader pauses with, as
	// SO_RCVBUF reports it, which is doubled. It holds 120 datagrams, each charged with
	// its capacity.
	largeBuffer = 16 << 20
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
	if c.OnIdle == nil {
		c.OnIdle = func(bool) {}
	}
	return c
}

// conn is a netlink socket that owns a group. go-nflog and mdlayher/netlink open and
// configure it. After that the Reader reads its descriptor, and waits with the poller.
type conn struct {
	socket      int
	poller      *poller
	group       uint16
	largeBuffer bool // the receive buffer holds what comes during some pauses
}

// dial opens a socket and binds the group. Its error is an *OpenError.
func dial(cfg Config) (*conn, error) {
	n, err := gonflog.Open(&gonflog.Config{Group: cfg.Group, Copymode: gonflog.CopyPacket})
	if err != nil {
		return nil, openError(cfg.Group, err)
	}
	socket, err := configure(n.Con, cfg)
	// configure has taken a descriptor of its own. This fails only on a closed socket.
	_ = n.Con.Close()
	if err != nil {
		return nil, openError(cfg.Group, err)
	}
	c := &conn{socket: socket, group: cfg.Group}
	if c.poller, err = newPoller(socket); err != nil {
		_ = unix.Close(socket) // the first error is the one that matters
		return nil, openError(cfg.Group, err)
	}
	buffer, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_RCVBUF)
	c.largeBuffer = err == nil && buffer >= largeBuffer
	return c, nil
}

// configure sizes the socket's buffer, binds the group, and returns a second
// descriptor of the socket, which is not in the runtime's poller.
func configure(n *netlink.Conn, cfg Config) (socket int, err error) {
	raw, err := n.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("get descriptor: %w", err)
	}
	if err := setReceiveBuffer(raw, cfg.ReceiveBuffer); err != nil {
		return -1, fmt.Errorf("set receive buffer: %w", err)
	}
	control := raw.Control(func(fd uintptr) {
		socket, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(control, err); err != nil {
		return -1, fmt.Errorf("get descriptor: %w", err)
	}
	// A socket that is connected to the kernel, whose port id is 0, gets messages from
	// nobody else. The kernel refuses those of other processes (ECONNREFUSED).
	if err = unix.Connect(socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		_ = unix.Close(socket)
		return -1, fmt.Errorf("connect to the kernel: %w", err)
	}
	// All settings are in one message. If the bind had a message of its own, the first
	// packets would come without numbers and uncut.
	if err = send(socket, cfg.Group, bindAttributes(cfg)); err == nil {
		err = refusal(socket)
	}
	if err != nil {
		_ = unix.Close(socket)
		return -1, fmt.Errorf("bind: %w", err)
	}
	return socket, nil
}

// close gives up the group.
func (c *conn) close() error { return errors.Join(c.poller.close(), unix.Close(c.socket)) }

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

// unbind gives up the group. Before the kernel returns, it puts the packets that it
// still held into the socket, where they can be read.
func (c *conn) unbind() error {
	err := send(c.socket, c.group, func(ae *netlink.AttributeEncoder) { ae.Uint8(cfgCmd, cmdUnbind) })
	if err != nil {
		return fmt.Errorf("unbind: %w", err)
	}
	return nil
}

// send sends a configuration message for a group: struct nfgenmsg, then the
// attributes. It asks for no acknowledgement, because that could come behind packets
// in the socket. The kernel has acted on the message when send returns.
func send(socket int, group uint16, attributes func(*netlink.AttributeEncoder)) error {
	ae := netlink.NewAttributeEncoder()
	attributes(ae)
	encoded, err := ae.Encode()
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	data := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, group)
	data = append(data, encoded...)
	message, err := netlink.Message{
		Header: netlink.Header{Length: uint32(sizeMessageHeader + len(data)), Type: msgConfig, Flags: netlink.Request},
		Data:   data,
	}.MarshalBinary()
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	return unix.Sendto(socket, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// refusal returns the kernel's error if it refused the bind. Then the socket holds
// nothing but that error. Otherwise it holds packets or nothing; a peek leaves them
// there.
func refusal(socket int) error {
	var answer [sizeMessageHeader + 4]byte // struct nlmsgerr begins with the errno
	n, _, err := unix.Recvfrom(socket, answer[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	if err == nil && n == len(answer) && binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR {
		if errno := -int32(binary.NativeEndian.Uint32(answer[sizeMessageHeader:])); errno != 0 {
			return unix.Errno(errno)
		}
	}
	return err
}

// setReceiveBuffer sets the buffer beyond net.core.rmem_max if the process may do so
// (CAP_NET_ADMIN in the initial user namespace), else up to it.
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
