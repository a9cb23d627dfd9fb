package watch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sample = `{"lastSeen":"2026-05-04T10:00:00Z","group":100,"prefix":"deny: ","hook":"forward","in":"cali1","out":"eth0",` +
	`"protocol":"TCP","source":{"ip":"10.0.0.5","port":40000,"kind":"Pod","namespace":"shop","name":"frontend"},` +
	`"destination":{"ip":"10.0.1.7","port":8080,"kind":"Unknown"},"packets":3,"tcpFlags":"SYN"}`

const icmp = `{"lastSeen":"2026-05-04T10:00:00Z","group":100,"prefix":"","hook":"input","in":"eth0",` +
	`"protocol":"ICMPv6","source":{"ip":"fd00::5","kind":"Unknown"},"destination":{"ip":"fd00::7","kind":"Unknown"},` +
	`"packets":1,"icmpType":128,"icmpCode":0}`

// timeless replaces the times of rows, which are in the local time zone.
func timeless(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if len(l) > 8 && l[2] == ':' && l[5] == ':' {
			lines[i] = "HH:MM:SS" + l[8:]
		}
	}
	return strings.Join(lines, "\n")
}

func TestListOnAPipe(t *testing.T) {
	var out strings.Builder
	v := New(Config{Out: &out})
	if err := v.Run(strings.NewReader(sample + "\n" + icmp + "\n" + `{"missed":7}` + "\n")); err != nil {
		t.Fatal(err)
	}
	want := `TIME      SOURCE                    DESTINATION      PORT       PACKETS     RATE  FLAGS  WAY                   PREFIX
HH:MM:SS  shop/frontend (10.0.0.5)  10.0.1.7         8080/TCP         3           SYN    forward cali1 > eth0  deny: 
TIME      SOURCE                    DESTINATION      PORT          PACKETS     RATE  FLAGS  WAY                   PREFIX
HH:MM:SS  fd00::5                   fd00::7          ICMPv6 128/0        1                  input eth0            
… 7 flows were missed: this end was too slow
`
	if diff := cmp.Diff(want, timeless(out.String())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// reasoned returns sample with a reason and without a prefix.
func reasoned() string {
	return strings.Replace(strings.TrimSuffix(sample, "}")+
		`,"reason":"denied by NetworkPolicy shop/api-ingress (no rule allows it)","policies":["shop/api-ingress"]}`, "deny: ", "", 1)
}

// TestListReasons checks the reason of a flow. There is no column for prefixes, because
// there is no prefix. On a terminal the reason is on its own line.
func TestListReasons(t *testing.T) {
	tests := []struct {
		name string
		size func() (int, int)
		want string
	}{
		{"pipe", nil, `TIME      SOURCE                    DESTINATION      PORT       PACKETS     RATE  FLAGS  WAY                   REASON
HH:MM:SS  shop/frontend (10.0.0.5)  10.0.1.7         8080/TCP         3           SYN    forward cali1 > eth0  denied by NetworkPolicy shop/api-ingress (no rule allows it)
`},
		{"terminal of 80", func() (int, int) { return 80, 24 }, `TIME      SOURCE                    DESTINATION      PORT       PACKETS     RATE
HH:MM:SS  shop/frontend (10.0.0.5)  10.0.1.7         8080/TCP         3
          denied by NetworkPolicy shop/api-ingress (no rule allows it)
`},
		{"terminal of 50", func() (int, int) { return 50, 24 }, `TIME      SOURCE                    DESTINATION  …
HH:MM:SS  shop/frontend (10.0.0.5)  10.0.1.7     …
          denied by NetworkPolicy shop/api-ingres…
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if err := New(Config{Out: &out, Size: tt.size}).Run(strings.NewReader(reasoned() + "\n")); err != nil {
				t.Fatal(err)
			}
			var lines []string
			for line := range strings.Lines(timeless(out.String())) {
				lines = append(lines, strings.TrimRight(line, " \n")+"\n")
			}
			if diff := cmp.Diff(tt.want, strings.Join(lines, "")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestEnded checks that a view ends when the agent says why it ends the lines.
func TestEnded(t *testing.T) {
	for _, mode := range []Mode{List, Top, JSON} {
		err := New(Config{Mode: mode, Out: io.Discard}).Run(strings.NewReader(sample + "\n" + `{"ended":"no \u001bplace"}` + "\n"))
		var ended EndedError
		if !errors.As(err, &ended) || ended.Error() != "no \ufffdplace" {
			t.Errorf("mode %d: %v", mode, err)
		}
	}
}

// showPods lists flows between pods with names of these lengths. width is the terminal's
// width; nil for no terminal.
func showPods(t *testing.T, width func() int, names ...[2]int) string {
	t.Helper()
	var out strings.Builder
	cfg := Config{Out: &out}
	if width != nil {
		cfg.Size = func() (int, int) { return width(), 24 }
	}
	v := New(cfg)
	if err := v.screen.open(); err != nil {
		t.Fatal(err)
	}
	for i, lengths := range names {
		l, err := parse([]byte(sample))
		if err != nil {
			t.Fatal(err)
		}
		port := uint16(8000 + i)
		l.Source.Name, l.Destination.Namespace, l.Destination.Name = strings.Repeat("a", lengths[0]), "shop", strings.Repeat("b", lengths[1])
		l.Destination.Port = &port
		if err := v.screen.show(&l, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// TestListLinesUp checks that each row's columns are below the last titles, with the
// longest names that Kubernetes allows. On a pipe names are complete.
func TestListLinesUp(t *testing.T) {
	text := showPods(t, nil, [2]int{3, 9}, [2]int{253, 20}, [2]int{5, 253}, [2]int{60, 60})
	var header string
	rows, headers := 0, 0
	for text := range strings.Lines(text) {
		if strings.HasPrefix(text, "TIME") {
			header, headers = text, headers+1
			continue
		}
		rows++
		for title, begins := range map[string]string{"SOURCE": "shop/a", "DESTINATION": "shop/b", "PORT": "800", "FLAGS": "SYN", "WAY": "forward", "PREFIX": "deny: "} {
			if at := strings.Index(header, title); !strings.HasPrefix(text[at:], begins) {
				t.Errorf("%s stands elsewhere in\n%s%s", title, header, text)
			}
		}
	}
	if rows != 4 || headers != 3 {
		t.Errorf("%d rows below %d headers, want 4 below 3:\n%s", rows, headers, text)
	}
	for _, name := range []string{strings.Repeat("a", 253) + " (10.0.0.5)", strings.Repeat("b", 253) + " (10.0.1.7)"} {
		if !strings.Contains(text, name) {
			t.Errorf("a name of 253 characters was cut:\n%s", text)
		}
	}
}

// TestListInATerminal checks the same pods in terminals of several widths.
func TestListInATerminal(t *testing.T) {
	pods := [][2]int{{9, 60}}
	tests := []struct {
		width int
		want  string
	}{
		{200, `TIME      SOURCE                     DESTINATION                                                                   PORT       PACKETS     RATE  FLAGS  WAY                   PREFIX
HH:MM:SS  shop/aaaaaaaaa (10.0.0.5)  shop/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb (10.0.1.7)  8000/TCP         3           SYN    forward cali1 > eth0  deny: 
`},
		{140, `TIME      SOURCE                     DESTINATION                            PORT       PACKETS     RATE  FLAGS  WAY                   PREFIX
HH:MM:SS  shop/aaaaaaaaa (10.0.0.5)  shop/bbbbbbbbbbbbbbbbbbbb… (10.0.1.7)  8000/TCP         3           SYN    forward cali1 > eth0  deny: 
`},
		{80, `TIME      SOURCE                    DESTINATION               PORT       PACKETS
HH:MM:SS  shop/aaaaaaa… (10.0.0.5)  shop/bbbbbbb… (10.0.1.7)  8000/TCP         3
`},
	}
	for _, tt := range tests {
		got := timeless(showPods(t, func() int { return tt.width }, pods...))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%d columns, -want +got:\n%s", tt.width, diff)
		}
	}
}

// TestListRates checks the rows of a flow that goes on: the first row comes at once, and
// rows with its rate at longer and longer intervals.
func TestListRates(t *testing.T) {
	var out strings.Builder
	s := &list{out: bufio.NewWriter(&out), notes: io.Discard, flows: make(map[key]*seen)}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	l, err := parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Unix(0, 0)
	var rows []string
	for second := range 40 {
		now := start.Add(time.Duration(second) * time.Second)
		out.Reset()
		if second < 30 {
			if err := s.show(&l, now); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.tick(now); err != nil {
			t.Fatal(err)
		}
		for row := range strings.Lines(out.String()) {
			if strings.HasPrefix(row, "TIME") {
				continue
			}
			words := strings.Fields(row)
			rows = append(rows, fmt.Sprintf("%d: %s %s", second, words[5], words[6]))
		}
	}
	want := []string{"0: 3 SYN", "2: 9 3.0/s", "6: 21 3.0/s", "14: 45 3.0/s", "30: 90 2.8/s"}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// After a minute without packets the flow is forgotten and new again.
	if err := s.tick(start.Add(2 * time.Minute)); err != nil || len(s.flows) != 0 {
		t.Errorf("%d flows are known after a minute of silence (%v)", len(s.flows), err)
	}
}

// TestListIsBounded checks the rows if there are more flows than rows.
func TestListIsBounded(t *testing.T) {
	var out strings.Builder
	s := &list{out: bufio.NewWriter(&out), notes: io.Discard, flows: make(map[key]*seen)}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	for i := range 1000 {
		l := line{Packets: 2, Protocol: "UDP", Source: end{IP: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}}
		if err := s.show(&l, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.tick(time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := "… and 800 more rows for flows with 1600 packets: too many to show"
	if last := lines[len(lines)-1]; len(lines) != 1+maxRows+1 || last != want {
		t.Errorf("%d lines, the last %q; want %d and %q", len(lines), last, 1+maxRows+1, want)
	}
}

func TestJSON(t *testing.T) {
	var out, notes strings.Builder
	v := New(Config{Mode: JSON, Out: &out, Notes: &notes, Filter: Filter{Protocols: []string{"tcp"}}})
	if err := v.Run(strings.NewReader(sample + "\n" + icmp + "\n" + `{"missed":7}` + "\n")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample+"\n", out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff("kube-nflog: 7 flows were missed: the reader was too slow\n", notes.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFilter(t *testing.T) {
	l, err := parse([]byte(strings.Replace(reasoned(), `"prefix":"`, `"prefix":"deny: `, 1)))
	if err != nil {
		t.Fatal(err)
	}
	other, err := parse([]byte(icmp))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name             string
		filter           Filter
		wants, wantsICMP bool
	}{
		{"nothing", Filter{}, true, true},
		{"protocol", Filter{Protocols: []string{"udp", "tcp"}}, true, false},
		{"port", Filter{Ports: []uint16{1, 8080}}, true, false},
		{"source port", Filter{Ports: []uint16{40000}}, false, false},
		{"network of the source", Filter{Nets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}, true, false},
		{"network of the destination", Filter{Nets: []netip.Prefix{netip.MustParsePrefix("fd00::7/128")}}, false, true},
		{"prefix", Filter{Prefixes: []string{"x", "deny"}}, true, false},
		{"namespace", Filter{Namespaces: []string{"bank", "shop"}}, true, false},
		{"another namespace", Filter{Namespaces: []string{"sho"}}, false, false},
		{"pod", Filter{Pods: []string{"frontend"}}, true, false},
		{"pod of its namespace", Filter{Pods: []string{"shop/frontend"}}, true, false},
		{"pod of another namespace", Filter{Pods: []string{"bank/frontend"}}, false, false},
		{"part of a pod's name", Filter{Pods: []string{"end"}}, false, false},
		{"policy", Filter{Policies: []string{"api-ingress"}}, true, false},
		{"policy of its namespace", Filter{Policies: []string{"shop/api-ingress"}}, true, false},
		{"another policy", Filter{Policies: []string{"ingress"}}, false, false},
		{"reason", Filter{Reasons: []string{"other", "No Rule"}}, true, false},
		{"another reason", Filter{Reasons: []string{"other"}}, false, false},
		{"all of them", Filter{Protocols: []string{"TCP"}, Ports: []uint16{443}}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.filter.wants(&l); got != tt.wants {
				t.Errorf("TCP: %v", got)
			}
			if got := tt.filter.wants(&other); got != tt.wantsICMP {
				t.Errorf("ICMPv6: %v", got)
			}
		})
	}
}

// TestHostileText checks that no text in a line can control the terminal.
func TestHostileText(t *testing.T) {
	for _, mode := range []Mode{List, Top} {
		var out strings.Builder
		v := New(Config{Mode: mode, Out: &out, Colour: false})
		evil := strings.Replace(sample, "deny: ", `\u001b[2J\u0007\u202e`, 1)
		evil = strings.Replace(evil, "frontend", `\u001b]0;x\u0007`, 1)
		if err := v.Run(strings.NewReader(evil + "\n")); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\x07\u202e") {
			t.Errorf("mode %d prints %q", mode, out.String())
		}
	}
}

// TestTop checks the table for flows of different rates on a terminal of 60 by 4.
func TestTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		s := &top{out: &out, title: "group 100", size: func() (int, int) { return 60, 4 }, flows: make(map[key]*busy)}
		for i, packets := range []uint64{5, 50, 500} {
			l, err := parse([]byte(sample))
			if err != nil {
				t.Fatal(err)
			}
			l.Source = end{IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}
			l.Packets = packets
			if err := s.show(&l, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.tick(time.Now()); err != nil {
			t.Fatal(err)
		}
		got := strings.NewReplacer(home, "", clearLine, "", clearBelow, "", "\r", "").Replace(out.String())
		want := `HH:MM:SS  group 100  3 flows, 555 packets
   RATE   PACKETS  SOURCE           DESTINATION      PORT  …
  100/s       500  10.0.0.2         10.0.1.7         8080/T…
   10/s        50  10.0.0.1         10.0.1.7         8080/T…`
		if diff := cmp.Diff(want, timeless(got)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		// Five seconds later these packets do not count for the rate any more.
		for range rateOver {
			if err := s.tick(time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range s.busiest(3) {
			if b.rate() != 0 {
				t.Errorf("a flow that ended has the rate %v", b.rate())
			}
		}
	})
}
