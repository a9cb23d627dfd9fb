package test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// tcp returns packets from client to server over IPv4.
func (s *scene) tcp(port uint16, count int) burst {
	return burst{netlab.Packet{
		Source: s.client.v4, Destination: s.server.v4, Protocol: netlab.TCP, DestinationPort: port,
	}, count}
}

// received returns the server's event for such packets. note follows the port.
func (s *scene) received(b burst, note string) event {
	return s.dropped(b.count, fmt.Sprintf("Packet dropped when receiving traffic from %s/client (%s) on port %d/TCP%s.",
		s.namespace, s.client.v4, b.DestinationPort, note))
}

// sent returns the client's event for such packets.
func (s *scene) sent(b burst, note string) event {
	return s.dropped(b.count, fmt.Sprintf("Packet dropped when sending traffic to %s/server (%s) on port %d/TCP%s.",
		s.namespace, s.server.v4, b.DestinationPort, note))
}

// TestTwoGroups reads two groups at once. A packet that both groups log counts in both.
func TestTwoGroups(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nftables(s,
		`tcp dport 8080 log prefix "one" group 7`,
		`tcp dport 8081 log prefix "two" group 4242`,
		`drop`)[0]...)
	a := s.startReady(t, agent.Config{Groups: []uint16{7, 4242}})
	one, two := s.tcp(8080, 5), s.tcp(8081, 3)
	system.Must(t, s.client.Send(one.Packet, one.count))
	system.Must(t, s.client.Send(two.Packet, two.count))
	system.Must(t, a.Stop(s.ctx))
	s.wantEvents(t, "server",
		s.received(one, ` (NFLOG prefix "one")`), s.received(two, ` (NFLOG prefix "two")`))
	lines := map[flow]total{}
	for g, p := range map[uint16]burst{7: one, 4242: two} {
		f := p.flow(s)
		f.Group, f.Prefix, f.In, f.Out = g, map[uint16]string{7: "one", 4242: "two"}[g], "vethclient", "vethserver"
		f.Source, f.Destination = s.pod("client", p.Source), s.pod("server", p.Destination)
		lines[f] = p.size(t)
	}
	wantFlows(t, a, lines)
}

// TestPrefixFilter reads two of three prefixes. The third is counted as ignored.
func TestPrefixFilter(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nftables(s,
		`tcp dport 8080 log prefix "deny: http" group 100`,
		`tcp dport 8081 log prefix "trace: " group 100`,
		`tcp dport 8082 log prefix "reject: " group 100`,
		`drop`)[0]...)
	a := s.startReady(t, agent.Config{Args: []string{"--prefix", "deny: ", "--prefix", "reject: "}})
	web, trace, reject := s.tcp(8080, 5), s.tcp(8081, 3), s.tcp(8082, 2)
	for _, p := range []burst{web, trace, reject} {
		system.Must(t, s.client.Send(p.Packet, p.count))
	}
	s.awaitReceived(t, a, 10)
	metrics, err := a.Metrics(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"received": 10, "folded": 7, "ignored": 3, "undecodable": 0, "lost": 0} {
		if got := metrics.Sum("kube_nflog_packets_"+name+"_total", "group", "100"); got != want {
			t.Errorf("packets %s: %v, want %v", name, got, want)
		}
	}
	system.Must(t, a.Stop(s.ctx))
	s.wantEvents(t, "server",
		s.received(web, ` (NFLOG prefix "deny: http")`), s.received(reject, ` (NFLOG prefix "reject: ")`))
}

// TestLimitedRule sends more packets than a rule with a limit logs. The event counts the
// packets that the rule logged.
func TestLimitedRule(t *testing.T) {
	for _, b := range backends() {
		if !b.limited {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			s := newScene(t)
			b.install(t, s)
			a := s.startReady(t, agent.Config{})
			p := s.tcp(8080, 40)
			system.Must(t, s.client.Send(p.Packet, p.count))
			system.Must(t, a.Stop(s.ctx))
			events := s.listEvents(t, "server")
			// The rule logs ten at once, and one more for each six seconds of this test.
			if len(events) != 1 || events[0].Count < 10 || events[0].Count > 12 {
				t.Fatalf("40 packets gave the events %+v, want one that counts 10 to 12", events)
			}
			p.count = int(events[0].Count)
			want := s.received(p, "")
			want.Message += " At least this many packets: the rule that logs has a limit of 10/minute."
			s.wantEvents(t, "server", want)
		})
	}
}

// TestGroupTaken starts a second agent on a group. It stays up, is not ready, and names the
// process that reads the group. When that process has ended, it binds the group.
func TestGroupTaken(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nft(s)[0]...)
	first := s.startReady(t, agent.Config{})
	second := s.start(t, agent.Config{Listen: "127.0.0.1:9191"})
	// Until it has tried to bind the group, it answers that it is starting.
	text := awaitAnswer(s.ctx, t, second, "/readyz", "group 100 is not bound: it is read by kube-nflog")
	if want := fmt.Sprintf("(process %d)", first.PID()); !strings.Contains(text, want) {
		t.Errorf("/readyz answers %q, which does not say %q", text, want)
	}
	if status, text, err := second.Answer(s.ctx, "/healthz"); err != nil || status != http.StatusOK {
		t.Errorf("/healthz answers %d %q, %v", status, text, err)
	}
	p := s.tcp(8080, 3)
	system.Must(t, s.client.Send(p.Packet, p.count))
	system.Must(t, first.Stop(s.ctx))
	s.wantEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
	system.Must(t, second.WaitReady(s.ctx))
	system.Must(t, s.client.Send(p.Packet, p.count))
	system.Must(t, second.Stop(s.ctx))
	p.count *= 2
	s.wantEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
	if n := strings.Count(second.Log(), "is not bound"); n != 1 {
		t.Errorf("the second agent says %d times that the group is not bound:\n%s", n, second.Log())
	}
}

// awaitAnswer waits until the path answers a text and returns the whole answer.
func awaitAnswer(ctx context.Context, t *testing.T, a *agent.Agent, path, want string) string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, text, err := a.Answer(ctx, path)
		if err == nil && strings.Contains(text, want) {
			return text
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s answers %q, %v, which does not say %q", path, text, err, want)
		case <-tick.C:
		}
	}
}

// TestNoCapability runs the agent as root without CAP_NET_ADMIN.
func TestNoCapability(t *testing.T) {
	system.Need(t, "setpriv")
	s := newScene(t)
	a := s.start(t, agent.Config{Wrapper: []string{"setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"}})
	status, err := a.Wait(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status == 0 {
		t.Error("the agent's exit status is 0")
	}
	lines := strings.Split(strings.TrimSpace(a.Log()), "\n")
	last := lines[len(lines)-1]
	if !regexp.MustCompile(`group 100.*CAP_NET_ADMIN`).MatchString(last) {
		t.Errorf("the last line does not name the group and the capability:\n%s", a.Log())
	}
}

// TestCapabilities runs the agent with CAP_NET_ADMIN alone, as deploy/ does.
func TestCapabilities(t *testing.T) {
	system.Need(t, "setpriv", "nft")
	s := newScene(t)
	s.run(t, nft(s)[0]...)
	a := s.startReady(t, agent.Config{Wrapper: []string{"setpriv", "--inh-caps=-all,+net_admin", "--bounding-set=-all,+net_admin", "--no-new-privs"}})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "CapEff:\t0000000000001000\n") {
		t.Errorf("the agent runs with other capabilities than NET_ADMIN:\n%s", status)
	}
	p := s.tcp(8080, 3)
	system.Must(t, s.client.Send(p.Packet, p.count))
	system.Must(t, a.Stop(s.ctx))
	s.wantEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
}
