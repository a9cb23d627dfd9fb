package firewall

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	nftSubsystem = unix.NFNL_SUBSYS_NFTABLES << 8
	dumpBuffer   = 64 << 10
	nlHeader     = 16
	nfHeader     = 4 // struct nfgenmsg
	interrupted  = 0x10
)

var errChanging = errors.New("the rules of nftables changed while they were read")

// request sends a request to nftables, and calls take for each message of the answer,
// without its headers. It reads the answer in pieces, because all rules of a node may need
// more memory than this process has. Errors are the kernel's.
func request(kind, flags uint16, take func(body []byte)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written, so nothing is lost
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return fmt.Errorf("bound a read of netlink: %w", err)
	}
	b := make([]byte, nlHeader+nfHeader)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], nftSubsystem|kind)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask nftables: %w", err)
	}
	a := nftAnswer{take: take, one: flags&unix.NLM_F_DUMP == 0}
	buffer := make([]byte, dumpBuffer)
	for !a.complete {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil {
			err = a.read(buffer[:n])
		}
		if err != nil {
			return fmt.Errorf("read nftables: %w", err)
		}
	}
	if a.changing {
		return errChanging
	}
	return nil
}

// nftAnswer is the state of reading an answer of nftables.
type nftAnswer struct {
	take     func(body []byte)
	one      bool // the answer is one message
	changing bool // the rules changed while they were read
	complete bool
}

// read reads the messages of a datagram.
func (a *nftAnswer) read(b []byte) error {
	for len(b) >= nlHeader && !a.complete {
		size := int(binary.NativeEndian.Uint32(b))
		if size < nlHeader || size > len(b) {
			return errors.New("a message is cut")
		}
		a.changing = a.changing || binary.NativeEndian.Uint16(b[6:])&interrupted != 0
		if err := a.message(binary.NativeEndian.Uint16(b[4:]), b[nlHeader:size]); err != nil {
			return err
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return nil
}

func (a *nftAnswer) message(kind uint16, body []byte) error {
	switch kind {
	case unix.NLMSG_DONE:
		a.complete = true
	case unix.NLMSG_ERROR:
		if len(body) < 4 {
			return errors.New("an error is cut")
		}
		if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
			return unix.Errno(-code)
		}
		a.complete = true
	default:
		if len(body) >= nfHeader {
			a.take(body)
		}
		a.complete = a.one
	}
	return nil
}

// nftGeneration returns a number that changes whenever the rules of nftables change.
func nftGeneration() (generation uint32, err error) {
	err = request(unix.NFT_MSG_GETGEN, 0, func(body []byte) {
		if id := attribute(body[nfHeader:], unix.NFTA_GEN_ID); len(id) == 4 {
			generation = binary.BigEndian.Uint32(id)
		}
	})
	return generation, err
}

// collectNFT collects the rules of nftables. A kernel without nftables has none.
func collectNFT(c *collector) error {
	var err error
	for range 3 {
		err = request(unix.NFT_MSG_GETRULE, unix.NLM_F_DUMP, func(body []byte) { c.add(nftRule(body)) })
		if !errors.Is(err, errChanging) {
			break
		}
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// nftRule parses a rule.
func nftRule(body []byte) *rule {
	attributes := body[nfHeader:]
	in := fmt.Sprintf("%d %s ", body[0], text(attribute(attributes, unix.NFTA_RULE_TABLE)))
	r := &rule{chain: in + text(attribute(attributes, unix.NFTA_RULE_CHAIN))}
	for kind, e := range each(attribute(attributes, unix.NFTA_RULE_EXPRESSIONS)) {
		if kind == unix.NFTA_LIST_ELEM {
			r.expression(text(attribute(e, unix.NFTA_EXPR_NAME)), attribute(e, unix.NFTA_EXPR_DATA), in)
		}
	}
	return r
}

// expression adds an expression to the rule. A limit counts only if it comes before the
// rule's action.
func (r *rule) expression(name string, data []byte, in string) {
	switch name {
	case "limit":
		r.limit(limitRate(number(attribute(data, unix.NFTA_LIMIT_RATE)), number(attribute(data, unix.NFTA_LIMIT_UNIT))))
	case "quota", "numgen":
		r.limit("")
	case "objref":
		const objectLimit = 4
		if number(attribute(data, unix.NFTA_OBJREF_IMM_TYPE)) == objectLimit {
			r.limit("")
		}
	case "dynset":
		if text(attribute(attribute(data, unix.NFTA_DYNSET_EXPR), unix.NFTA_EXPR_NAME)) == "limit" {
			r.limit("")
		}
	case "match":
		r.match(text(attribute(data, unix.NFTA_MATCH_NAME)), attribute(data, unix.NFTA_MATCH_INFO))
	case "target":
		r.target(text(attribute(data, unix.NFTA_TARGET_NAME)), attribute(data, unix.NFTA_TARGET_INFO))
	case "log":
		if group := attribute(data, unix.NFTA_LOG_GROUP); len(group) == 2 {
			r.logs, r.group, r.prefix = true, binary.BigEndian.Uint16(group), text(attribute(data, unix.NFTA_LOG_PREFIX))
		}
	case "immediate":
		verdict := attribute(attribute(data, unix.NFTA_IMMEDIATE_DATA), unix.NFTA_DATA_VERDICT)
		if chain := text(attribute(verdict, unix.NFTA_VERDICT_CHAIN)); chain != "" {
			r.jump = in + chain
		}
	}
}

// limit sets the rule's limit, unless the limit comes after the log action.
func (r *rule) limit(rate string) {
	if !r.logs {
		r.limited, r.rate = true, rate
	}
}

// match adds a match of iptables to the rule.
func (r *rule) match(name string, info []byte) {
	switch name {
	case "limit":
		rate := ""
		if len(info) >= 4 {
			rate = xtRate(binary.NativeEndian.Uint32(info))
		}
		r.limit(rate)
	case "hashlimit", "quota", "statistic":
		r.limit("")
	}
}

// target adds a target of iptables to the rule. In struct xt_nflog_info the prefix follows
// the flags.
func (r *rule) target(name string, info []byte) {
	const prefix = 12
	if log := nflogInfo(info); name == "NFLOG" && log != nil && len(info) > prefix {
		r.logs, r.group, r.prefix = true, log.Group, text(info[prefix:min(len(info), prefix+64)])
	}
}

// xtRate converts the time between two packets, in units of 1/10000 s, to a rate as
// iptables prints it.
func xtRate(period uint32) string {
	const scale = 10000
	if period == 0 {
		return ""
	}
	rate := ""
	for _, seconds := range []uint64{1, 60, 3600, 86400} {
		if n := seconds * scale / uint64(period); n > 0 && (rate == "" || seconds*scale%uint64(period) == 0) {
			if rate = limitRate(n, seconds); seconds*scale%uint64(period) == 0 {
				return rate
			}
		}
	}
	return rate
}

// attribute returns the value of the first attribute of a kind, nil if there is none.
func attribute(b []byte, kind uint16) []byte {
	for k, value := range each(b) {
		if k == kind {
			return value
		}
	}
	return nil
}

// each iterates over netlink attributes, and stops at one that is too short.
func each(b []byte) func(yield func(uint16, []byte) bool) {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= 4 {
			size := int(binary.NativeEndian.Uint16(b))
			if size < 4 || size > len(b) || !yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// text returns the value up to its first NUL.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(b)
}

// number returns a big-endian value of 4 or 8 bytes, 0 for any other length.
func number(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}
