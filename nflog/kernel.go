package nflog

import "golang.org/x/sys/unix"

// From include/uapi/linux/netfilter/nfnetlink_log.h; x/sys/unix has none of
// these, and go-nflog keeps its own to itself.
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

// enum nfulnl_attr_type.
const (
	attrPacketHeader = 1
	attrMark         = 2
	attrTimestamp    = 3
	attrIn           = 4
	attrOut          = 5
	attrPhysIn       = 6
	attrPhysOut      = 7
	attrPayload      = 9
	attrPrefix       = 10
	attrUID          = 11
	attrSeq          = 12
	attrGID          = 14
	attrLinkHeader   = 16
)

// attrTypeMask takes NLA_F_NESTED and NLA_F_NET_BYTEORDER off an attribute's
// type (include/uapi/linux/netlink.h).
const attrTypeMask = 0x3fff

const (
	sizeMessageHeader   = unix.SizeofNlMsghdr
	sizeGroupHeader     = 4 // struct nfgenmsg
	sizeAttributeHeader = unix.SizeofNlAttr
)
