package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// expectation is an event that a pod must have. There is one for each direction, peer and
// port, for all addresses of the peer.
type expectation struct {
	pod       string
	begins    string // how its message begins, before the peer's name
	addresses []string
	target    string // "on port 8080/TCP"
	why       string // how its message ends
	packets   int    // the count that it must have at the end
}

// expectations returns the events for the denied traffic: one at each end that is a pod.
func expectations(denied []attempt) []expectation {
	var want []expectation
	for i := range denied {
		a := &denied[i]
		source := a.from.v4
		if a.address.Is6() {
			source = a.from.v6
		}
		if pod, ok := strings.CutPrefix(a.toName, namespace+"/"); ok {
			want = expect(want, pod, "Packet dropped when receiving traffic from ", a.fromName, source.String(), a)
		}
		if pod, ok := strings.CutPrefix(a.fromName, namespace+"/"); ok {
			want = expect(want, pod, "Packet dropped when sending traffic to ", a.toName, a.address.String(), a)
		}
	}
	return want
}

// target returns what was denied, as in messages.
func (a *attempt) target() string {
	switch {
	case a.port != 0:
		return fmt.Sprintf("on port %d/%s", a.port, a.protocol)
	case a.address.Is6():
		return "(ICMPv6 echo-request)"
	}
	return "(ICMP echo-request)"
}

// expect adds one kind of denied traffic to the expected event for it.
func expect(want []expectation, pod, begins, peer, address string, a *attempt) []expectation {
	target := a.target()
	if strings.Contains(peer, "/") { // an outside host has only an address
		begins += peer + " ("
	}
	i := slices.IndexFunc(want, func(w expectation) bool {
		return w.pod == pod && w.begins == begins && w.target == target
	})
	if i < 0 {
		return append(want, expectation{pod, begins, []string{address}, target, a.deniedBy(), attempts})
	}
	want[i].addresses = append(want[i].addresses, address)
	want[i].packets += attempts
	return want
}

// strictness says how exactly an event must match the sent packets.
type strictness bool

const (
	present strictness = false // the event exists; more packets may come
	exact   strictness = true  // the event counts all packets and names every address
)

// missing returns an error that names the expected events which do not match.
func missing(want []expectation, events []corev1.Event, s strictness) error {
	var errs []error
	for _, w := range want {
		i := slices.IndexFunc(events, func(e corev1.Event) bool {
			return e.InvolvedObject.Name == w.pod && strings.HasPrefix(e.Message, w.begins) && strings.Contains(e.Message, w.target)
		})
		if i < 0 {
			errs = append(errs, fmt.Errorf("no event on pod %s: %s… %s", w.pod, w.begins, w.target))
			continue
		}
		if s == exact {
			errs = append(errs, w.compare(&events[i]))
		}
	}
	return errors.Join(errs...)
}

// compare returns an error if the event does not match.
func (w expectation) compare(e *corev1.Event) error {
	if int(e.Count) != w.packets {
		return fmt.Errorf("an event on pod %s counts %d packets, %d were sent: %s", w.pod, e.Count, w.packets, e.Message)
	}
	if !strings.HasSuffix(e.Message, w.why) {
		return fmt.Errorf("an event on pod %s does not say why%s: %s", w.pod, w.why, e.Message)
	}
	for _, a := range w.addresses {
		if !strings.Contains(e.Message, a) {
			return fmt.Errorf("an event on pod %s does not name %s: %s", w.pod, a, e.Message)
		}
	}
	return nil
}
