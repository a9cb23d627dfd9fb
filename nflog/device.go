package nflog

import (
	"encoding/binary"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ethernetHeader is the size of an Ethernet header: two addresses and a type.
const ethernetHeader = 14

// Network returns the packet from its network header on, nil where that cannot
// be found. It is the payload, except for packets of the netdev family's egress
// hook: there the kernel copies from the link-layer header on, if the device has
// one, and does not say so. The device's type does, which is asked of the kernel
// once for each device, and again when a packet contradicts it.
func (p *Packet) Network(d *Devices) []byte {
	const egress = 1 // NF_NETDEV_EGRESS
	if p.Family != unix.NFPROTO_NETDEV || p.Hook != egress {
		return p.Payload
	}
	return d.network(p)
}

// Devices knows which devices put an Ethernet header before a packet. It belongs
// to one goroutine, in the network namespace of the devices. The zero Devices
// knows none yet.
type Devices struct {
	known map[uint32]device
	// typeOf returns a device's type (ARPHRD_…), and whether there is such a
	// device; nil is the kernel's.
	typeOf func(index uint32) (typ uint16, ok bool)
}

type device struct {
	is    framing
	asked time.Time
}

// framing is where a device's packets begin.
type framing uint8

const (
	unknown  framing = iota // the device has gone
	bare                    // with the network header
	ethernet                // with an Ethernet header
)

const (
	// maxDevices bounds the devices that are remembered.
	maxDevices = 1024
	// askEvery is how often the kernel is asked about a device at most: packets
	// that contradict its type may be forged.
	askEvery = time.Second
)

// network decides by the device's type and holds it against the packet. Of a
// device that has gone the packet alone decides, if it can be read in one way.
func (d *Devices) network(p *Packet) []byte {
	asBare, asFramed := isNetwork(p.Payload, p.EtherType), isFramed(p)
	is := d.known[p.Out].is
	if is == unknown || is == bare && !asBare || is == ethernet && !asFramed {
		is = d.ask(p.Out)
	}
	switch {
	case asFramed && (is == ethernet || is == unknown && !asBare):
		return p.Payload[ethernetHeader:]
	case asBare && (is == bare || is == unknown && !asFramed):
		return p.Payload
	}
	return nil
}

// ask asks the kernel about a device, unless it has just been asked.
func (d *Devices) ask(index uint32) framing {
	now := time.Now()
	if known, ok := d.known[index]; ok && now.Sub(known.asked) < askEvery {
		return known.is
	}
	typeOf := d.typeOf
	if typeOf == nil {
		typeOf = deviceType
	}
	if d.known == nil || len(d.known) >= maxDevices {
		d.known = make(map[uint32]device)
	}
	is := unknown
	if typ, ok := typeOf(index); ok {
		is = bare
		if typ == unix.ARPHRD_ETHER || typ == unix.ARPHRD_LOOPBACK {
			is = ethernet
		}
	}
	d.known[index] = device{is: is, asked: now}
	return is
}

// isFramed reports whether the payload may begin with an Ethernet header.
func isFramed(p *Packet) bool {
	b := p.Payload
	return len(b) > ethernetHeader && binary.BigEndian.Uint16(b[ethernetHeader-2:]) == p.EtherType &&
		isNetwork(b[ethernetHeader:], p.EtherType)
}

// isNetwork reports whether b may begin with the network header of an EtherType.
// Of what is not IP nothing is known.
func isNetwork(b []byte, etherType uint16) bool {
	switch etherType {
	case unix.ETH_P_IP: // version, header length, total length: 0 is one too large for the field
		if len(b) < 4 || b[0] < 0x45 || b[0] > 0x4f {
			return false
		}
		total := int(binary.BigEndian.Uint16(b[2:]))
		return total == 0 || total >= int(b[0]&0xf)*4
	case unix.ETH_P_IPV6:
		return len(b) > 0 && b[0]>>4 == 6
	}
	return true
}

// deviceType asks the kernel for a device's type.
func deviceType(index uint32) (typ uint16, ok bool) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return 0, false
	}
	defer func() { _ = c.Close() }() // nothing is left to be told
	request := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(request[4:], index)
	messages, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: request,
	})
	if err != nil || len(messages) == 0 || len(messages[0].Data) < unix.SizeofIfInfomsg {
		return 0, false
	}
	return binary.NativeEndian.Uint16(messages[0].Data[2:]), true
}
