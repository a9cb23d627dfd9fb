package nflog

import "golang.org/x/sys/unix"

// From include/uapi/linux/netfilter/nfnetlink_log.h. x/sys/unix has none of these, and
// go-nflog does not export its own.
const (
	msgPacket = unix.NFNL_SUBSYS_ULOG << 8   // NFULNL_MSG_PACKET is 0
	msgConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1 // NFULNL_MSG_CONFIG
)

// enum nfulnl_attr_config.
const (
	cfgCmd           = 1
	cfgMode          = 2
	cfgNetlinkBuffer = 3
	cfgTimeout       = 4 // in 1/100 s
	cfgThreshold     = 5
	cfgFlags         = 6
)

// enum nfulnl_msg_config_cmds.
const (
	cmdBind   = 1
	cmdUnbind = 2
)

const (
	copyPacket = 2 // NFULNL_COPY_PACKET
	flagSeq    = 1 // NFULNL_CFG_F_SEQ
)

// enum nfulnl_attr_type, as far as it is read.
const (
	attrPacketHeader = 1
	attrTimestamp    = 3
	attrIn           = 4
	attrOut          = 5
	attrPayload      = 9
	attrPrefix       = 10
	attrSeq          = 12
)

// attrTypeMask removes NLA_F_NESTED and NLA_F_NET_BYTEORDER from an attribute's type
// (include/uapi/linux/netlink.h).
const attrTypeMask = 0x3fff

const (
	sizeMessageHeader   = unix.SizeofNlMsghdr
	sizeGroupHeader     = 4 // struct nfgenmsg
	sizeAttributeHeader = unix.SizeofNlAttr
)
