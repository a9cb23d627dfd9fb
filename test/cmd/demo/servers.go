package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// serve starts a server on every port that the demo tries, also on denied ones. Without the
// rules each attempt would get an answer.
func (n *network) serve(ctx context.Context) (closeAll func(), err error) {
	var open []io.Closer
	closeAll = func() {
		for _, c := range open {
			// All clients have ended, so nothing can be lost.
			_ = c.Close()
		}
	}
	seen := map[string]bool{}
	attempts := n.attempts()
	for i := range attempts {
		a := &attempts[i]
		address := netip.AddrPortFrom(a.address, a.port).String()
		if a.protocol == "ICMP" || seen[a.protocol+address] {
			continue // the kernel answers echo requests
		}
		seen[a.protocol+address] = true
		server, err := a.to.listen(ctx, a.protocol, address)
		if err != nil {
			closeAll()
			return nil, fmt.Errorf("serve %s %s: %w", a.protocol, address, err)
		}
		open = append(open, server)
	}
	return closeAll, nil
}

// listen starts an echo server that ends when it is closed.
func (h host) listen(ctx context.Context, protocol, address string) (server io.Closer, err error) {
	if protocol == "UDP" {
		var conn net.PacketConn
		err := h.Do(func() (err error) {
			conn, err = new(net.ListenConfig).ListenPacket(ctx, "udp", address)
			return err
		})
		if err == nil {
			go echoDatagrams(conn)
		}
		return conn, err
	}
	var listener net.Listener
	err = h.Do(func() (err error) {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
		return err
	})
	if err == nil {
		go echoConnections(listener)
	}
	return listener, err
}

func echoDatagrams(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if _, err := conn.WriteTo(buf[:n], from); err != nil {
			return
		}
	}
}

func echoConnections(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			// The client reports whether it got its answer.
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}()
	}
}

// ping sends one echo request. It returns nil if the reply came.
func (a *attempt) ping(sequence int) (err error) {
	network, local, proto := "ip4:icmp", a.from.v4, ipv4.ICMPTypeEcho.Protocol()
	var kind, reply icmp.Type = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply
	if a.address.Is6() {
		network, local, proto = "ip6:ipv6-icmp", a.from.v6, ipv6.ICMPTypeEchoRequest.Protocol()
		kind, reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	var conn *icmp.PacketConn
	if err := a.from.Do(func() (err error) {
		conn, err = icmp.ListenPacket(network, local.String())
		return err
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	message := icmp.Message{Type: kind, Body: &icmp.Echo{ID: 1, Seq: sequence, Data: []byte("hello")}}
	b, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	if _, err := conn.WriteTo(b, &net.IPAddr{IP: a.address.AsSlice()}); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return awaitReply(conn, proto, reply, sequence)
}

// awaitReply reads until the reply with the sequence number comes.
func awaitReply(conn *icmp.PacketConn, proto int, reply icmp.Type, sequence int) error {
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(proto, buf[:n])
		if err != nil {
			return err
		}
		if echo, ok := m.Body.(*icmp.Echo); ok && m.Type == reply && echo.Seq == sequence {
			return nil
		}
	}
}
