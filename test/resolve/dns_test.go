package resolve

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/kube-nflog/kube-nflog/resolve"
)

// dnsServer answers every reverse question with the same name, or not at all.
type dnsServer struct {
	conn  net.PacketConn
	name  string // "" for no such name
	mute  bool
	asked atomic.Int32
}

// startDNS starts the server on loopback. It returns a resolver that asks only this server.
func startDNS(t *testing.T, s *dnsServer) *net.Resolver {
	t.Helper()
	var err error
	if s.conn, err = new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.serve(t)
	}()
	t.Cleanup(func() {
		_ = s.conn.Close()
		<-ended
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *dnsServer) serve(t *testing.T) {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		s.asked.Add(1)
		if s.mute {
			continue
		}
		answer, err := s.answer(buf[:n])
		if err == nil {
			_, err = s.conn.WriteTo(answer, from)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func (s *dnsServer) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	m.Response, m.Additionals = true, nil
	if s.name == "" {
		m.RCode = dnsmessage.RCodeNameError
		return m.Pack()
	}
	name, err := dnsmessage.NewName(s.name)
	if err != nil {
		return nil, err
	}
	m.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.PTRResource{PTR: name},
	}}
	return m.Pack()
}

func TestExternalName(t *testing.T) {
	s := &dnsServer{name: "db.example.com."}
	r := start(t, resolve.Config{DNS: startDNS(t, s)})
	if got := r.Lookup(addr("203.0.113.5"), time.Now()); got.Kind != resolve.External || got.Name != "" {
		t.Errorf("first lookup: %+v, want external without a name", got)
	}
	eventually(t, r, "203.0.113.5", time.Now(), resolve.Endpoint{Kind: resolve.External, Name: "db.example.com"})
	asked := s.asked.Load()
	for range 1000 {
		r.Lookup(addr("203.0.113.5"), time.Now())
	}
	if again := s.asked.Load(); again != asked {
		t.Errorf("asked %d more times, want the cache to answer", again-asked)
	}
}

func TestNoExternalName(t *testing.T) {
	s := &dnsServer{}
	r := start(t, resolve.Config{DNS: startDNS(t, s)})
	r.Lookup(addr("203.0.113.6"), time.Now())
	until(t, func() string {
		if s.asked.Load() == 0 {
			return "DNS was not asked"
		}
		return ""
	})
	is(t, r, "203.0.113.6", time.Now(), resolve.Endpoint{Kind: resolve.External})
}

// TestSlowDNS checks that a DNS server that does not answer does not delay a look-up.
func TestSlowDNS(t *testing.T) {
	s := &dnsServer{mute: true}
	r := start(t, resolve.Config{DNS: startDNS(t, s), DNSTimeout: 200 * time.Millisecond})
	began := time.Now()
	for i := range 1000 {
		r.Lookup(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), time.Now())
	}
	if took := time.Since(began); took > patience { // 200 s if each waited
		t.Errorf("1000 lookups took %v", took)
	}
	until(t, func() string {
		if s.asked.Load() < 2 {
			return "DNS was not asked again"
		}
		return ""
	})
	is(t, r, "203.0.113.1", time.Now(), resolve.Endpoint{Kind: resolve.External})
}

func TestHostileName(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 62)+".", 4) // 252 bytes
	for name, hostile := range map[string]string{
		"control characters": "evil\r\n\x00name.example.com.",
		"terminal escapes":   "\x1b[31mred\x1b[0m\x07.example.com.",
		"longest":            long,
		"spaces and slashes": "node shop/frontend (10.0.0.5).example.com.",
	} {
		t.Run(name, func(t *testing.T) {
			s := &dnsServer{name: hostile}
			r := start(t, resolve.Config{DNS: startDNS(t, s), DNSTimeout: 200 * time.Millisecond})
			r.Lookup(addr("203.0.113.7"), time.Now())
			until(t, func() string {
				if s.asked.Load() == 0 {
					return "DNS was not asked"
				}
				return ""
			})
			deadline := time.After(500 * time.Millisecond)
			for done := false; !done; {
				select {
				case <-deadline:
					done = true
				default:
				}
				got := r.Lookup(addr("203.0.113.7"), time.Now()).Name
				if len(got) > 253 || strings.Trim(got, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.?") != "" {
					t.Fatalf("name %q got through", got)
				}
				done = done || got != ""
			}
		})
	}
}
