package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// expectation is an event that a pod must have: one for each direction, peer
// and port, whatever the peer's addresses.
type expectation struct {
	pod       string
	begins    string // how its message begins, up to the peer's name
	addresses []string
	target    string // "on port 8080/TCP"
	why       string // how it ends
	packets   int    // that it stands for in the end
}

// expectations are the events of what was denied, one at each end that is a
// pod.
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

// target is how a message names what was denied.
func (a *attempt) target() string {
	switch {
	case a.port != 0:
		return fmt.Sprintf("on port %d/%s", a.port, a.protocol)
	case a.address.Is6():
		return "(ICMPv6 echo-request)"
	}
	return "(ICMP echo-request)"
}

// expect adds one kind of denied traffic to the event that tells of it.
func expect(want []expectation, pod, begins, peer, address string, a *attempt) []expectation {
	target := a.target()
	if strings.Contains(peer, "/") { // a host outside has an address alone
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

// strictness is how an event must agree with what was sent.
type strictness bool

const (
	present strictness = false // it is there; more packets may be on their way
	exact   strictness = true  // it counts them all and names every address
)

// missing says which expected events are not as they must be.
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

// compare says what in the event does not agree.
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
