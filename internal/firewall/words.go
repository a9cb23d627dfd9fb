package firewall

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// words converts the expressions of a match back into text.
type words struct {
	family   nftables.TableFamily
	iptables bool // use the syntax of iptables instead of nft's

	sets map[string]string     // contents of anonymous sets
	maps map[string]verdictMap // by name

	network  byte // the IP version that the rule has matched: NFPROTO_…
	protocol string
}

// conditions splits a rule's expressions after each comparison. text is "" if an expression
// cannot be converted.
func (w words) conditions(exprs []expr.Any) (conditions []string, text string) {
	var said []string
	known := true
	w.network = byte(w.family)
	for len(exprs) > 0 {
		n := 1
		for n < len(exprs) && isLoad(exprs[n-1]) {
			n++
		}
		condition := exprs[:n]
		exprs = exprs[n:]
		phrase, ok := w.phrase(condition)
		if !ok {
			known = false
			phrase = w.dump(condition)
		}
		if phrase != "" {
			conditions = append(conditions, phrase)
			said = append(said, phrase)
		}
	}
	if !known {
		return conditions, ""
	}
	return conditions, strings.Join(said, " ")
}

// isLoad reports whether an expression only loads a value for the next one.
func isLoad(e expr.Any) bool {
	switch e.(type) {
	case *expr.Meta, *expr.Payload, *expr.Ct, *expr.Bitwise:
		return true
	}
	return false
}

// dump returns the expressions as text, for comparison only.
func (w *words) dump(exprs []expr.Any) string {
	var b strings.Builder
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Match:
			fmt.Fprintf(&b, "match %s %+v;", e.Name, e.Info)
		case *expr.Lookup:
			in := *e
			if contents, anonymous := w.sets[e.SetName]; anonymous {
				in.SetName, in.SetID = contents, 0
			}
			fmt.Fprintf(&b, "%T%+v;", in, in)
		default:
			fmt.Fprintf(&b, "%T%+v;", e, e)
		}
	}
	return b.String()
}

// phrase converts one condition. The text is "" if other conditions imply it.
func (w *words) phrase(exprs []expr.Any) (string, bool) {
	cmp, ok := exprs[len(exprs)-1].(*expr.Cmp)
	if !ok {
		return "", false
	}
	not := cmp.Op == expr.CmpOpNeq
	if !not && cmp.Op != expr.CmpOpEq {
		return "", false
	}
	switch load := exprs[0].(type) {
	case *expr.Meta:
		if len(exprs) == 2 && !load.SourceRegister {
			return w.meta(load.Key, cmp.Data, not)
		}
	case *expr.Payload:
		return w.payload(load, exprs[1:len(exprs)-1], cmp.Data, not)
	}
	return "", false
}

func (w *words) meta(key expr.MetaKey, data []byte, not bool) (string, bool) {
	switch key {
	case expr.MetaKeyNFPROTO:
		if not || len(data) != 1 {
			return "", false
		}
		w.network = data[0]
		if w.iptables {
			return "", true
		}
		return "meta nfproto " + map[byte]string{unix.NFPROTO_IPV4: "ipv4", unix.NFPROTO_IPV6: "ipv6"}[data[0]], true
	case expr.MetaKeyL4PROTO:
		if len(data) != 1 {
			return "", false
		}
		return w.transport(data[0], not)
	case expr.MetaKeyIIFNAME:
		return w.say("-i", "iifname", w.device(data), not), true
	case expr.MetaKeyOIFNAME:
		return w.say("-o", "oifname", w.device(data), not), true
	}
	return "", false
}

// transport converts the match of a protocol.
func (w *words) transport(protocol byte, not bool) (string, bool) {
	name := map[byte]string{
		unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_SCTP: "sctp",
		unix.IPPROTO_ICMP: "icmp", unix.IPPROTO_ICMPV6: "ipv6-icmp",
	}[protocol]
	if name == "" {
		name = strconv.Itoa(int(protocol))
	}
	if !not {
		w.protocol = name
	}
	return w.say("-p", "meta l4proto", name, not), true
}

// device returns the name of an interface. A name that does not end in a zero byte matches
// all names that begin with it.
func (w *words) device(data []byte) string {
	name := strings.TrimRight(string(data), "\x00")
	every := len(data) > 0 && data[len(data)-1] != 0
	switch {
	case w.iptables && every:
		return name + "+"
	case every:
		return `"` + name + `*"`
	case w.iptables:
		return name
	}
	return `"` + name + `"`
}

// payload converts the match of an address or a port.
func (w *words) payload(p *expr.Payload, masks []expr.Any, data []byte, not bool) (string, bool) {
	switch {
	case p.Base == expr.PayloadBaseTransportHeader && p.Len == 2 && len(data) == 2 && len(masks) == 0 && w.hasPorts():
		number := strconv.Itoa(int(binary.BigEndian.Uint16(data)))
		switch p.Offset {
		case 0:
			return w.say("--sport", w.protocol+" sport", number, not), true
		case 2:
			return w.say("--dport", w.protocol+" dport", number, not), true
		}
	case p.Base == expr.PayloadBaseNetworkHeader && p.Offset == 9 && p.Len == 1 && len(data) == 1 && len(masks) == 0 && w.network == unix.NFPROTO_IPV4:
		return w.transport(data[0], not)
	case p.Base == expr.PayloadBaseNetworkHeader:
		return w.address(p, masks, data, not)
	}
	return "", false
}

func (w *words) hasPorts() bool {
	return w.protocol == "tcp" || w.protocol == "udp" || w.protocol == "sctp"
}

// address converts the match of an address, or of a network if there is a mask or a shorter
// comparison.
func (w *words) address(p *expr.Payload, masks []expr.Any, data []byte, not bool) (string, bool) {
	source, destination, size, nft := uint32(12), uint32(16), 4, "ip"
	if w.network == unix.NFPROTO_IPV6 {
		source, destination, size, nft = 8, 24, 16, "ip6"
	}
	bits := 8 * len(data)
	if len(masks) == 1 {
		mask, ok := masks[0].(*expr.Bitwise)
		if !ok {
			return "", false
		}
		if bits, ok = length(mask); !ok {
			return "", false
		}
	}
	known := w.network == unix.NFPROTO_IPV4 || w.network == unix.NFPROTO_IPV6
	if !known || len(masks) > 1 || int(p.Len) != len(data) || len(data) > size {
		return "", false
	}
	addr, _ := netip.AddrFromSlice(append(append([]byte{}, data...), make([]byte, size-len(data))...))
	text := addr.String()
	if bits < addr.BitLen() {
		text += "/" + strconv.Itoa(bits)
	}
	switch p.Offset {
	case source:
		return w.say("-s", nft+" saddr", text, not), true
	case destination:
		return w.say("-d", nft+" daddr", text, not), true
	}
	return "", false
}

// length returns the number of leading one bits of a mask.
func length(mask *expr.Bitwise) (int, bool) {
	bits, ended := 0, false
	for i, b := range mask.Mask {
		if mask.Xor[i] != 0 {
			return 0, false
		}
		for bit := 7; bit >= 0; bit-- {
			one := b&(1<<bit) != 0
			if one && ended {
				return 0, false
			}
			if one {
				bits++
			}
			ended = !one
		}
	}
	return bits, true
}

func (w *words) say(iptables, nft, value string, not bool) string {
	if w.iptables {
		if not {
			iptables = "! " + iptables
		}
		return iptables + " " + value
	}
	if not {
		nft += " !="
	}
	return nft + " " + value
}
