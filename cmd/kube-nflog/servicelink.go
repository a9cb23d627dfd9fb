//go:build linux

package main

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
)

// serviceLinks are the variables that the kubelet sets in each container for each
// Service of its namespace, by how their names end, the longest ending first.
// The value tells them from a setting of the same name: METRICS_SERVER_PORT is
// kube-iptables-tailer's, and that of a Service named metrics-server.
func serviceLinks() []serviceLink {
	return []serviceLink{
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_PROTO$`), regexp.MustCompile(`^(tcp|udp|sctp)$`).MatchString},
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_PORT$`), isPort},
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_ADDR$`), isAddress},
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)$`), isEndpoint},
		{regexp.MustCompile(`_SERVICE_HOST$`), isAddress},
		{regexp.MustCompile(`_SERVICE_PORT(_[A-Z0-9_]+)?$`), isPort},
		{regexp.MustCompile(`_PORT$`), isEndpoint},
	}
}

type serviceLink struct {
	ending *regexp.Regexp
	value  func(string) bool
}

// isServiceLink reports whether a variable is one of the kubelet's.
func isServiceLink(name, value string) bool {
	for _, l := range serviceLinks() {
		if l.ending.MatchString(name) {
			return l.value(value)
		}
	}
	return false
}

func isPort(value string) bool {
	n, err := strconv.ParseUint(value, 10, 16)
	return err == nil && n > 0
}

func isAddress(value string) bool {
	_, err := netip.ParseAddr(value)
	return err == nil
}

// isEndpoint reports whether a value is such as tcp://10.96.0.9:443.
func isEndpoint(value string) bool {
	u, err := url.Parse(value)
	return err == nil && regexp.MustCompile(`^(tcp|udp|sctp)$`).MatchString(u.Scheme) && isAddress(u.Hostname()) && isPort(u.Port())
}

// nearest returns the one of the known names that takes the fewest edits, "" if
// none is known.
func nearest(name string, known []string) (best string) {
	least := -1
	for _, k := range known {
		if d := editDistance(name, k); least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
