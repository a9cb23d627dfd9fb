//go:build linux

package agent

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of the open connections. Anybody who reaches the node's port can open some, and
// each takes memory.
const (
	maxRemote     = 32 // from all other hosts and pods
	maxPerAddress = 8  // of these, from one address
	maxLocal      = 32 // from this host: the kubelet's probes and "watch --agent"
)

// boundedListener bounds the open connections. It always accepts a new one. If there are
// too many, it closes an older one:
//
//  1. Beyond maxPerAddress, the oldest of the same address.
//  2. Beyond maxRemote, the oldest of the address that has most connections.
//  3. Connections of this host have a bound of their own. Otherwise others could keep the
//     kubelet's probes out.
type boundedListener struct {
	net.Listener

	mu            sync.Mutex
	local, remote pool
	displaced     prometheus.Counter

	closing sync.Once
}

// pool holds the connections that share a bound.
type pool struct {
	most, mostOfOne int
	open            []*boundedConn // the oldest first
}

func boundConnections(l net.Listener, reg prometheus.Registerer) *boundedListener {
	b := &boundedListener{
		Listener: l,
		local:    pool{most: maxLocal, mostOfOne: maxLocal}, remote: pool{most: maxRemote, mostOfOne: maxPerAddress},
		displaced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kube_nflog_connections_displaced_total",
			Help: "Connections to --listen that were closed to make room for newer ones.",
		}),
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kube_nflog_connections", Help: "Open connections to --listen.",
	}, b.count)
	reg.MustRegister(b.displaced, open)
	return b
}

func (b *boundedListener) count() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return float64(len(b.local.open) + len(b.remote.open))
}

// Accept returns the next connection, and closes an older one if there are too many.
func (b *boundedListener) Accept() (net.Conn, error) {
	c, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	one := &boundedConn{Conn: c, listener: b}
	one.address, one.pool = b.remoteOf(c)
	if displaced := b.admit(one); displaced != nil {
		b.displaced.Inc()
		_ = displaced.Close() // the server's reads and writes fail then
	}
	return one, nil
}

// Close closes the listener. Only the first call can fail.
func (b *boundedListener) Close() (err error) {
	b.closing.Do(func() { err = b.Listener.Close() })
	return err
}

// admit adds the connection to its pool, and returns the connection that it displaces, nil
// for none.
func (b *boundedListener) admit(one *boundedConn) *boundedConn {
	b.mu.Lock()
	defer b.mu.Unlock()
	displaced := one.pool.displaces(one.address)
	if displaced != nil {
		displaced.pool.remove(displaced)
	}
	one.pool.open = append(one.pool.open, one)
	return displaced
}

// remoteOf returns the network of the client and the pool of the connection. Only this host
// can connect from one of its own addresses, because the kernel sends the answers to
// itself. An IPv6 client counts with its /64, since it may have all of these addresses.
func (b *boundedListener) remoteOf(c net.Conn) (netip.Prefix, *pool) {
	remote, local := addressOf(c.RemoteAddr()), addressOf(c.LocalAddr())
	bits := remote.BitLen()
	if remote.Is6() {
		bits = 64
	}
	address, _ := remote.Prefix(bits) // all invalid addresses share a key
	if remote.IsLoopback() || remote == local {
		return address, &b.local
	}
	return address, &b.remote
}

func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// displaces returns the connection that a new one from the address displaces, nil if there
// is room.
func (p *pool) displaces(address netip.Prefix) *boundedConn {
	if p.count(address) >= p.mostOfOne {
		return p.open[slices.IndexFunc(p.open, func(c *boundedConn) bool { return c.address == address })]
	}
	if len(p.open) < p.most {
		return nil
	}
	return slices.MaxFunc(p.open, func(a, b *boundedConn) int { // the first of several
		return cmp.Compare(p.count(a.address), p.count(b.address))
	})
}

func (p *pool) count(address netip.Prefix) (n int) {
	for _, c := range p.open {
		if c.address == address {
			n++
		}
	}
	return n
}

func (p *pool) remove(one *boundedConn) {
	p.open = slices.DeleteFunc(p.open, func(c *boundedConn) bool { return c == one })
}

// boundedConn is a connection that is in a pool until it is closed or displaced.
type boundedConn struct {
	net.Conn

	listener *boundedListener
	pool     *pool
	address  netip.Prefix
}

// Close closes the connection and removes it from its pool.
func (c *boundedConn) Close() error {
	c.listener.mu.Lock()
	c.pool.remove(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
