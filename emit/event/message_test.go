package event

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

func TestConfigReportsAllErrorsAtOnce(t *testing.T) {
	_, err := New(Config{QPS: -1, Burst: -1, PodQPS: -1, CallTimeout: -1, Message: "{{.NoSuch}}", Reason: strings.Repeat("x", 200)}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"QPS must", "Burst must", "PodQPS must", "CallTimeout must", "NoSuch", "Reason is longer"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestMessageTemplates(t *testing.T) {
	for _, tt := range []struct {
		text string
		ok   bool
	}{
		{"{{.Peer}} was denied{{.On}}", true},
		{"{{if .Port}}port {{.Port}}{{else}}{{.ICMP}}{{end}} {{range .Prefixes}}{{.}}{{end}}", true},
		{"{{.Peer", false},
		{"{{.Secret}}", false},
		{"{{/* nothing */}}", false},
		{`{{printf "%100000000d" 1}}`, true}, // long, but it is cut
	} {
		if _, err := parseMessage(tt.text); (err == nil) != tt.ok {
			t.Errorf("%q: %v", tt.text, err)
		}
	}
}

func TestObjectNamesAreValidAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for _, node := range []string{"n1", "n2"} {
		for _, name := range []string{"api", strings.Repeat("a", 252) + "b", strings.Repeat("a", 230) + "." + strings.Repeat("b", 20)} {
			for _, d := range []direction{receiving, sending} {
				s := objectKey{namespace: "shop", name: name, uid: name}
				got := objectName(node, "kube-nflog", &s, &entryKey{direction: d, target: target{protocol: decode.TCP, port: 80}})
				if len(got) > maxObjectName || strings.Contains(got, "..") || seen[got] {
					t.Errorf("name %q: %d bytes, seen %v", got, len(got), seen[got])
				}
				seen[got] = true
			}
		}
	}
}

// FuzzMessage asserts that no text from outside makes an event's message too
// long, invalid, or able to move the cursor of a terminal.
func FuzzMessage(f *testing.F) {
	f.Add("crawler.example", "DROP by policy shop/deny", "", uint8(6), uint8(2), uint8(0))
	f.Add("crawler.example", strings.Repeat("x", 2000), "", uint8(6), uint8(2), uint8(1))
	f.Add("\x1b[2J", "\xff\xfe\n", "{{.Peer}} {{.On}}", uint8(1), uint8(8), uint8(0))
	f.Add(strings.Repeat("€", 500), strings.Repeat("\u202e", 500), "{{.Prefixes}}", uint8(99), uint8(255), uint8(7))
	f.Fuzz(func(t *testing.T, name, prefix, text string, protocol, a, b uint8) {
		tmpl, err := parseMessage(text)
		if err != nil {
			tmpl = nil
		}
		l := newCorrelator(&Config{NodeName: "n1"}, tmpl, "run", newCounters())
		for _, aggregate := range []bool{false, true} {
			r := &eventEntry{object: newInvolvedObject(objectKey{namespace: "shop", name: "api"}, &Config{}), key: entryKey{aggregate: aggregate}}
			if aggregate {
				r.aggregate = newAggregate()
			}
			fl := flow.Flow{
				Protocol: decode.Protocol(protocol), Prefix: prefix, TCPFlags: decode.TCPFlags(a), ICMPType: a, ICMPCode: b,
				HasPorts: protocol == 6, HasICMP: protocol == 1 || protocol == 58, FirstSeen: start, LastSeen: start, Packets: 1,
			}
			r.key.target = targetOf(&fl)
			peer := resolve.Endpoint{IP: external("203.0.113.9").IP, Kind: resolve.External, Name: name}
			d := &emit.DroppedFlow{Flow: fl, Reason: policy.Reason{AtLeast: b%2 == 1, Limit: name}}
			r.add(&observation{DroppedFlow: d, peer: &peer, why: policy.View{Text: prefix}, first: start, last: start}, "", &l.room, start)
			checkMessage(t, l.requests.messageOf(r))
		}
	})
}

func checkMessage(t *testing.T, message string) {
	t.Helper()
	if len(message) > maxMessage {
		t.Errorf("the message has %d bytes", len(message))
	}
	if strings.TrimSpace(message) == "" {
		t.Error("the message is empty")
	}
	if !utf8.ValidString(message) {
		t.Errorf("the message is not UTF-8: %q", message)
	}
	for _, r := range message {
		if !unicode.IsPrint(r) {
			t.Errorf("the message holds %U", r)
		}
	}
}

// TestAtLeast checks that an event whose rule has a limit says so, also when it
// is cut, and that it goes on to say so; that what becomes known costs no call
// of its own; and that a line says so.
func TestAtLeast(t *testing.T) {
	const sentence = " At least this many packets: the rule that logs has a limit of 10/minute."
	s := newFakeServer()
	e := newTestSink(t, Config{}, s)
	front, api := pod("shop", "front", "10.0.0.5"), pod("shop", "api", "10.0.1.7")
	f := tcp(front, api, 80, 2)
	e.Add(because(f, policy.Reason{Text: strings.Repeat("x", 2000), AtLeast: true, Limit: "10/minute"}))
	e.Add(because(f, policy.Reason{Text: strings.Repeat("x", 2000)}))
	e.Add(because(tcp(front, api, 81, 2), policy.Reason{AtLeast: true}))
	e.Add(tcp(front, api, 82, 2))
	flush(t, e)
	if calls := s.made(); len(calls) != 6 {
		t.Errorf("%d calls, want a POST for each of 6 events: %v", len(calls), calls)
	}
	for _, event := range s.list() {
		message := event.Message
		checkMessage(t, message)
		switch {
		case strings.Contains(message, "port 80/"):
			if !strings.HasSuffix(message, "x…"+sentence) || event.Count != 4 {
				t.Errorf("an event of %d packets, of a rule with a limit, cut, says %q", event.Count, message)
			}
		case strings.Contains(message, "port 81/"):
			if !strings.HasSuffix(message, "TCP. At least this many packets: the rule that logs has a limit.") {
				t.Errorf("an event of a rule with an unknown limit says %q", message)
			}
		case strings.Contains(message, "At least"):
			t.Errorf("an event of a rule without a limit says %q", message)
		}
	}
}

// TestLimitGoesWithTheNextWrite checks that an event whose rule came to have a
// limit says so in its next patch.
func TestLimitGoesWithTheNextWrite(t *testing.T) {
	var l correlator
	r := &eventEntry{object: newInvolvedObject(objectKey{namespace: "shop", name: "api", uid: "u"}, &Config{})}
	l.requests.cfg = &Config{NodeName: "n1"}
	front := pod("shop", "front", "10.0.0.5")
	f := tcp(front, front, 80, 2)
	r.key.target = targetOf(&f.Flow)
	o := &observation{DroppedFlow: f, peer: &front, first: start, last: start}
	r.add(o, "", &l.room, start)
	first := l.requests.messageOf(r)
	r.message, r.event, r.acked = first, eventPresent, r.packets
	if r.pending() != 0 {
		t.Fatal("something is pending")
	}
	f.Reason = policy.Reason{AtLeast: true, Limit: "10/minute"}
	r.add(o, "", &l.room, start)
	if p := patchOf(r, &request{message: l.requests.messageOf(r)}); !strings.HasSuffix(p.Message, atLeastText("10/minute")) || p.Count != 4 {
		t.Errorf("the next patch is %+v", p)
	}
}
