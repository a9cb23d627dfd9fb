package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// patience is how long a client waits for an answer. It is less than a second, after which
// the kernel would send a SYN again, so that each attempt is one packet.
const patience = 700 * time.Millisecond

// attempts is the number of attempts for each kind of traffic.
const attempts = 3

// attempt is one kind of traffic from a client to a server.
type attempt struct {
	protocol string // TCP, UDP or ICMP
	from, to host
	fromName string // its name in events
	toName   string
	address  netip.Addr // the address of to in the family to use
	port     uint16
	allowed  bool
}

func (a *attempt) String() string {
	where := a.protocol
	if a.port != 0 {
		where = strconv.Itoa(int(a.port)) + "/" + a.protocol
	}
	family := "IPv4"
	if a.address.Is6() {
		family = "IPv6"
	}
	return fmt.Sprintf("%-13s → %-13s %-9s %s", a.fromName, a.toName, where, family)
}

func (n *network) attempts() []attempt {
	const f, a, o = namespace + "/" + frontend, namespace + "/" + api, outside
	front, app, out := n.frontend, n.api, n.outside
	return []attempt{
		{"TCP", front, app, f, a, app.v4, 8080, true},
		{"TCP", front, app, f, a, app.v6, 8080, true},
		{"UDP", app, out, a, o, out.v4, 53, true},
		{"TCP", out, app, o, a, app.v4, 8080, true},
		{"TCP", front, app, f, a, app.v4, 5432, false},
		{"TCP", front, app, f, a, app.v6, 5432, false},
		{"UDP", front, app, f, a, app.v4, 5353, false},
		{"ICMP", front, app, f, a, app.v4, 0, false},
		{"ICMP", front, app, f, a, app.v6, 0, false},
		{"UDP", app, out, a, o, out.v4, 123, false},
		{"TCP", out, front, o, f, front.v4, 22, false},
	}
}

// sendTraffic makes all attempts at the same time and returns the denied ones. It returns
// an error if allowed traffic fails, or if denied traffic gets an answer.
func (d *demo) sendTraffic(ctx context.Context, n *network) ([]attempt, error) {
	end := d.progress.step(fmt.Sprintf("sending traffic, each kind %d times, from ordinary sockets", attempts))
	defer end()
	closeServers, err := n.serve(ctx)
	if err != nil {
		return nil, err
	}
	defer closeServers()
	all := n.attempts()
	results := make([]error, len(all))
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { results[i] = all[i].makeAll(ctx) })
	}
	wg.Wait()
	var denied []attempt
	var errs []error
	for i := range all {
		a := &all[i]
		if results[i] != nil {
			errs = append(errs, fmt.Errorf("%s: %w", a, results[i]))
			continue
		}
		outcome := "answered"
		if !a.allowed {
			outcome = "no answer"
			denied = append(denied, *a)
		}
		d.progress.say("  %s  %s", a, outcome)
	}
	return denied, errors.Join(errs...)
}

// makeAll makes all attempts of this kind at the same time.
func (a *attempt) makeAll(ctx context.Context) error {
	results := make([]error, attempts)
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() { results[i] = a.make(ctx, i) })
	}
	wg.Wait()
	for _, err := range results {
		switch {
		case a.allowed && err != nil:
			return fmt.Errorf("should be answered: %w", err)
		case !a.allowed && err == nil:
			return errors.New("is answered, but the rules deny it")
		case !a.allowed && !timedOut(err):
			return fmt.Errorf("should wait in vain: %w", err)
		}
	}
	return nil
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// make makes one attempt. It returns nil if the server answered.
func (a *attempt) make(ctx context.Context, sequence int) error {
	if a.protocol == "ICMP" {
		return a.ping(sequence)
	}
	network := map[string]string{"TCP": "tcp", "UDP": "udp"}[a.protocol]
	deadline := time.Now().Add(patience)
	var conn net.Conn
	err := a.from.Do(func() (err error) {
		dialer := net.Dialer{Deadline: deadline}
		conn, err = dialer.DialContext(ctx, network, netip.AddrPortFrom(a.address, a.port).String())
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(exchange(conn, deadline), conn.Close())
}

// exchange sends a word and expects the same word as the answer.
func exchange(conn net.Conn, deadline time.Time) error {
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 5))
	return err
}
