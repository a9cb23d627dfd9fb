package nflog

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNetwork finds the network header of packets at a device's egress hook.
func TestNetwork(t *testing.T) {
	ip := func(source ...byte) []byte { // 28 bytes of UDP, without ports
		return slices.Concat([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}, source, []byte{10, 0, 0, 7}, make([]byte, 8))
	}
	framed := func(packet []byte) []byte {
		return slices.Concat([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00}, packet)
	}
	plain := ip(10, 0, 0, 5)
	// The source address stands where a frame has its type, and reads as IPv4.
	likeAFrame := ip(8, 0, 0x45, 0)
	// Destination and type read as the start of an IPv4 header: a legal address.
	likeIP := slices.Concat([]byte{0x46, 0, 0, 42, 0, 0, 2, 0, 0, 0, 0, 2, 0x08, 0x00}, plain)
	const gone = 99
	links := &Links{links: map[uint32]link{}}
	for index, deviceType := range []uint16{1: unix.ARPHRD_LOOPBACK, 2: unix.ARPHRD_ETHER, 3: unix.ARPHRD_NONE, 4: unix.ARPHRD_TUNNEL} {
		links.links[uint32(index)] = link{framing: framingOf(deviceType)}
	}
	tests := []struct {
		name          string
		out           uint32
		payload, want []byte
	}{
		{"loopback", 1, framed(plain), plain},
		{"Ethernet", 2, framed(plain), plain},
		{"Ethernet, reads as IPv4", 2, likeIP, plain},
		{"TUN", 3, plain, plain},
		{"TUN, reads as a frame", 3, likeAFrame, likeAFrame},
		{"IP in IP", 4, plain, plain},
		{"device is gone, a frame", gone, framed(plain), plain},
		{"device is gone, a packet", gone, plain, plain},
		{"device is gone, reads as both", gone, likeAFrame, nil},
		{"device is gone, a frame that reads as both", gone, likeIP, nil},
		{"Ethernet without a frame", 2, plain, nil},
		{"TUN with a frame", 3, framed(plain), nil},
		{"Ethernet, cut", 2, framed(plain)[:14], nil},
		{"empty", 3, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &Packet{Family: unix.NFPROTO_NETDEV, Hook: 1, Out: tt.out, EtherType: unix.ETH_P_IP, Payload: tt.payload}
			if got := p.Network(links); !bytes.Equal(got, tt.want) {
				t.Errorf("Network = %x, want %x", got, tt.want)
			}
			p = &Packet{Family: unix.NFPROTO_IPV4, Hook: 1, Out: tt.out, EtherType: unix.ETH_P_IP, Payload: tt.payload}
			if got := p.Network(nil); !bytes.Equal(got, tt.payload) {
				t.Errorf("at the input hook: %x, want the payload", got)
			}
		})
	}
}
