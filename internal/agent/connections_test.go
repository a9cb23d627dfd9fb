//go:build linux

package agent

import (
	"fmt"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// dialled is one side of a connection between two addresses.
type dialled struct {
	net.Conn

	remote, local *net.TCPAddr
	closed        bool
}

func (d *dialled) RemoteAddr() net.Addr { return d.remote }
func (d *dialled) LocalAddr() net.Addr  { return d.local }
func (d *dialled) Close() error         { d.closed = true; return nil }

// dial makes the listener accept a connection from the address.
func dial(t *testing.T, b *boundedListener, remote string) *dialled {
	t.Helper()
	d := &dialled{remote: &net.TCPAddr{IP: net.ParseIP(remote), Port: 40000}, local: &net.TCPAddr{IP: net.ParseIP("10.0.0.1"), Port: 9090}}
	go func() { b.Listener.(pipes) <- d }() //nolint:forcetypeassert // every test's
	if _, err := b.Accept(); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestConnectionsAreBounded opens connections from some addresses in turn, then compares
// which connections are open.
func TestConnectionsAreBounded(t *testing.T) {
	from := func(count int, address string) (all []string) {
		for range count {
			all = append(all, address)
		}
		return all
	}
	var many []string // from as many addresses as there may be connections
	for i := range maxRemote {
		many = append(many, fmt.Sprintf("10.1.0.%d", i))
	}
	tests := []struct {
		name  string
		from  []string
		first bool // whether the first connection is open at the end
		open  int
	}{
		{"as many as one address may have", from(maxPerAddress, "10.1.0.5"), true, maxPerAddress},
		{"one more", from(maxPerAddress+1, "10.1.0.5"), false, maxPerAddress},
		{"a flood from one address", append([]string{"10.1.0.9"}, from(1000, "10.1.0.5")...), true, maxPerAddress + 1},
		{"one IPv6 network", append([]string{"fd00:1::1"}, from(maxPerAddress, "fd00:1::2")...), false, maxPerAddress},
		{"two IPv6 networks", append([]string{"fd00:2::1"}, from(maxPerAddress, "fd00:1::2")...), true, maxPerAddress + 1},
		{"mapped IPv4 addresses", append([]string{"::ffff:10.1.0.5"}, from(maxPerAddress, "10.1.0.5")...), false, maxPerAddress},
		{"many addresses", many, true, maxRemote},
		{"many addresses, and one more", append(many, "10.2.0.1"), false, maxRemote},
		{"one of the busiest goes", append(append([]string{"10.2.0.1"}, many[:maxRemote-2]...), many[0], "10.2.0.2"), true, maxRemote},
		{"the kubelet beside a flood", append(append([]string{"10.0.0.1"}, many...), from(1000, "10.3.0.1")...), true, maxRemote + 1},
		{"a flood, then loopback", append(append([]string{"127.0.0.1"}, many...), many...), true, maxRemote + 1},
		{"this host is bounded too", from(1000, "127.0.0.1"), false, maxLocal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := boundConnections(make(pipes), prometheus.NewRegistry())
			var first *dialled
			for i, address := range tt.from {
				d := dial(t, b, address)
				if i == 0 {
					first = d
				}
				if d.closed {
					t.Fatalf("connection %d from %s was closed at once", i, address)
				}
			}
			if first.closed == tt.first {
				t.Errorf("the first connection is closed: %v", first.closed)
			}
			if got := int(b.count()); got != tt.open {
				t.Errorf("%d connections are open, want %d", got, tt.open)
			}
			if got, want := testutil.ToFloat64(b.displaced), float64(len(tt.from)-tt.open); got != want {
				t.Errorf("%v connections were displaced, want %v", got, want)
			}
		})
	}
}

// TestConnectionGivesUpItsPlace closes connections twice, as the server does with a
// displaced connection.
func TestConnectionGivesUpItsPlace(t *testing.T) {
	b := boundConnections(make(pipes), prometheus.NewRegistry())
	for range 3 * maxPerAddress {
		go func() {
			b.Listener.(pipes) <- &dialled{remote: &net.TCPAddr{IP: net.IPv4(10, 1, 0, 5)}, local: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}} //nolint:forcetypeassert // made above
		}()
		c, err := b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := b.count() + testutil.ToFloat64(b.displaced); got != 0 {
		t.Errorf("%v connections are open or were displaced", got)
	}
}
