package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// From include/uapi/linux/netfilter/nfnetlink_log.h.
const (
	msgConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1

	cfgCmd           = 1
	cfgMode          = 2
	cfgNetlinkBuffer = 3
	cfgTimeout       = 4
	cfgThreshold     = 5
	cfgFlags         = 6

	cmdBind       = 1
	copyPacket    = 2
	netlinkBuffer = 128<<10 - 1024
)

// receiveOnly reads each datagram of the group when it comes, so it wakes up more often
// than kube-nflog. It reads only the length of the first message. All messages of the
// benchmark have the same length, so this gives the number of messages.
func receiveOnly(ctx context.Context, group uint16) (packets uint64, err error) {
	conn, raw, err := open(group)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })

	var n int
	var readErr error
	buf := make([]byte, 256<<10)
	readOnce := func(fd uintptr) bool {
		n, readErr = unix.Read(int(fd), buf)
		return !errors.Is(readErr, unix.EAGAIN)
	}
	for {
		if err := raw.Read(readOnce); errors.Is(err, os.ErrDeadlineExceeded) {
			return packets, nil
		} else if err != nil {
			return packets, fmt.Errorf("wait for packets: %w", err)
		}
		switch {
		case readErr == nil:
			packets += uint64(n) / messageSize(buf)
		case !errors.Is(readErr, unix.ENOBUFS):
			return packets, fmt.Errorf("read: %w", readErr)
		}
	}
}

// messageSize returns the size of the first message in a datagram: its length, aligned
// to 4 bytes.
func messageSize(datagram []byte) uint64 {
	return (uint64(binary.NativeEndian.Uint32(datagram)) + 3) &^ 3
}

// open binds the group as kube-nflog does, all settings in one message.
func open(group uint16) (*netlink.Conn, syscall.RawConn, error) {
	nf, err := gonflog.Open(&gonflog.Config{Group: group, Copymode: gonflog.CopyPacket})
	if err != nil {
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	raw, err := nf.Con.SyscallConn()
	if err == nil {
		err = errors.Join(nf.Con.SetReadBuffer(receiveBuffer), bind(nf.Con, group))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("configure: %w", err), nf.Close())
	}
	return nf.Con, raw, nil
}

func bind(conn *netlink.Conn, group uint16) error {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	ae.Uint8(cfgCmd, cmdBind)
	ae.Bytes(cfgMode, append(binary.BigEndian.AppendUint32(nil, copyRange), copyPacket, 0))
	ae.Uint32(cfgNetlinkBuffer, netlinkBuffer)
	ae.Uint32(cfgTimeout, flushTimeout)
	ae.Uint32(cfgThreshold, threshold)
	ae.Uint16(cfgFlags, gonflog.FlagSeq)
	attributes, err := ae.Encode()
	if err != nil {
		return err
	}
	header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, group)
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: msgConfig, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(header, attributes...),
	})
	return err
}
