package operate

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// await waits until condition is true.
func (s *scene) await(t *testing.T, what string, condition func() bool, state func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-s.ctx.Done():
			t.Fatalf("%s: not after %v:\n%s", what, patience, state())
		case <-tick.C:
		}
	}
}

// drop adds rules to the node that log and drop packets to the server.
func (s *scene) drop(t *testing.T) {
	t.Helper()
	s.dropAs(t, "deny: ")
}

// dropAs is like drop, with another prefix.
func (s *scene) dropAs(t *testing.T, prefix string) {
	t.Helper()
	system.Need(t, "nft")
	s.run(t, "nft", `add table inet deny
		add chain inet deny forward { type filter hook forward priority 0; }
		add rule inet deny forward log prefix "`+prefix+`" group 100 drop`)
}

// awaitFollowers waits until the agent has the given number of followers.
func (s *scene) awaitFollowers(t *testing.T, a *agent.Agent, want float64) {
	t.Helper()
	following := func() bool {
		m, err := a.Metrics(s.ctx)
		return err == nil && m.Sum("kube_nflog_followers") == want
	}
	s.await(t, fmt.Sprint(want, " follow"), following, a.Log)
}

// awaitBound waits until a process owns group 100.
func (s *scene) awaitBound(t *testing.T) {
	t.Helper()
	groups := func() string {
		out, _ := s.node.Command(s.ctx, "cat", "/proc/thread-self/net/netfilter/nfnetlink_log")
		return out
	}
	bound := func() bool { return strings.HasPrefix(strings.TrimSpace(groups()), "100 ") }
	s.await(t, "group 100 is bound", bound, groups)
}

// TestWatchTerminal compares the screen of a terminal: a row for each new flow, and the
// rate of a flow that goes on.
func TestWatchTerminal(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	w := s.watch(t, nil, "--port", "8080,53")
	s.awaitBound(t)
	s.send(t, client4, server4, 8080, 3)
	s.await(t, "a row", func() bool { return strings.Contains(w.screen(), "8080/TCP") }, w.screen)
	s.send(t, client6, server6, 53, 1)
	s.send(t, client4, server4, 9999, 1) // another port, which the filter leaves out
	s.await(t, "another row", func() bool { return strings.Contains(w.screen(), "53/TCP") }, w.screen)
	s.send(t, client4, server4, 8080, 100)
	s.await(t, "a rate", func() bool { return strings.Contains(w.screen(), "/s ") }, w.screen)
	got := regexp.MustCompile(` +\d[\d.]*/s`).ReplaceAllStringFunc(w.screen(), func(rate string) string {
		return fmt.Sprintf("%*s", len(rate), "RATE/s")
	})
	want := `drops of NFLOG group 100, until Ctrl-C
TIME      SOURCE           DESTINATION      PORT       PACKETS     RATE  FLAGS  WAY                                PREFIX
HH:MM:SS  10.20.0.5        10.20.0.7        8080/TCP         3           SYN    forward vethclient1 > vethserver2  deny:
HH:MM:SS  fd00:20::5       fd00:20::7       53/TCP           1           SYN    forward vethclient1 > vethserver2  deny:
HH:MM:SS  10.20.0.5        10.20.0.7        8080/TCP       103   RATE/s  SYN    forward vethclient1 > vethserver2  deny:
`
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !strings.Contains(w.printed(), "\x1b[36m10.20.0.5\x1b[0m") {
		t.Errorf("no colours on a terminal:\n%q", w.printed())
	}
	w.stop(t)
	if status := w.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("exit status %d after Ctrl-C", status)
	}
}

// TestWatchPlain checks that there are no colours if they are not wanted.
func TestWatchPlain(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	for _, c := range []struct {
		name  string
		start func() *terminal
	}{
		{"NO_COLOR", func() *terminal { return s.watch(t, []string{"NO_COLOR=1"}) }},
		{"dumb terminal", func() *terminal { return s.watch(t, []string{"TERM=dumb"}) }},
		{"pipe", func() *terminal { return s.watchPiped(t) }},
		{"pipe, top", func() *terminal { return s.watchPiped(t, "--top") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.start()
			s.awaitBound(t)
			s.send(t, client4, server4, 8080, 3)
			s.await(t, "a row", func() bool { return strings.Contains(w.printed(), "8080/TCP") }, w.printed)
			w.stop(t)
			if strings.Contains(w.printed(), "\x1b") {
				t.Errorf("there are colours:\n%q", w.printed())
			}
		})
	}
}

// TestWatchJSON compares the lines with those of an agent, except for their times.
func TestWatchJSON(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	w := s.watchPiped(t, "--output", "json", "--net", "10.20.0.7", "--protocol", "tcp", "--prefix", "deny")
	s.awaitBound(t)
	s.send(t, client6, server6, 8080, 2)
	s.send(t, client4, server4, 8080, 3)
	s.await(t, "a line", func() bool { return strings.HasSuffix(w.printed(), "\n") }, w.printed)
	w.stop(t)
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`"(first|last)Seen":"[^"]*"`).ReplaceAllString(w.printed(), `"${1}Seen":"…"`)
	want := `{"firstSeen":"…","lastSeen":"…","node":"` + strings.ToLower(hostname) + `","group":100,"prefix":"deny: ","hook":"forward",` +
		`"in":"vethclient1","out":"vethserver2","family":"IPv4","protocol":"TCP",` +
		`"source":{"ip":"10.20.0.5","port":40002,"kind":"External"},"destination":{"ip":"10.20.0.7","port":8080,"kind":"External"},` +
		`"packets":3,"bytes":120,"tcpFlags":"SYN","reasonCode":"unknown"}` + "\n"
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestWatchTop compares the screen of the table, and checks that the terminal is restored
// at the end.
func TestWatchTop(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	w := s.watch(t, nil, "--top")
	s.awaitBound(t)
	s.send(t, client4, server4, 80, 2)
	s.send(t, client4, server4, 8080, 20)
	s.await(t, "the table", func() bool { return strings.Contains(w.screen(), "22 packets") }, w.screen)
	got := regexp.MustCompile(`(?m)^ +[\d.]+/s| +\ds  `).ReplaceAllString(w.screen(), " *")
	want := `HH:MM:SS  drops of NFLOG group 100  2 flows, 22 packets
   RATE   PACKETS  SOURCE           DESTINATION      PORT       LAST  PREFIX
 *        20  10.20.0.5        10.20.0.7        8080/TCP *deny:
 *         2  10.20.0.5        10.20.0.7        80/TCP *deny:
`
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	w.stop(t)
	if !strings.HasSuffix(w.printed(), "\x1b[?25h\x1b[?1049l") {
		t.Errorf("the terminal is not given back:\n%q", w.printed())
	}
}

// TestWatchResize makes the window smaller and larger while the table is drawn. The table
// must fit each time.
func TestWatchResize(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	w := s.watch(t, nil, "--top")
	s.awaitBound(t)
	for port := range uint16(20) {
		s.send(t, client4, server4, 8000+port, 1)
	}
	lines := func() []string { return strings.Split(strings.TrimSuffix(w.screen(), "\n"), "\n") }
	for _, size := range [][2]int{{columns, rows}, {40, 6}, {100, 16}} {
		w.resize(t, size[0], size[1])
		fits := func() bool {
			l := lines()
			if len(l) != size[1] || !strings.Contains(l[0], "drops of NFLOG group 100") {
				return false
			}
			for _, row := range l[2:] {
				if !strings.Contains(row, "10.20.0.5 ") || size[0] > 60 != strings.HasSuffix(row, "deny:") {
					return false
				}
			}
			return true
		}
		s.await(t, fmt.Sprintf("a table of %d by %d", size[0], size[1]), fits, w.screen)
	}
	w.stop(t)
	if status := w.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("exit status %d after Ctrl-C", status)
	}
}

// TestWatchNames shows the names of pods.
func TestWatchNames(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	s.createPod(t, "shop", "frontend", client4)
	s.createPod(t, "shop", "api", server4)
	w := s.watchPiped(t, "--kubeconfig", s.Kubeconfig)
	s.awaitBound(t)
	s.send(t, client4, server4, 8080, 1)
	s.await(t, "a row", func() bool { return strings.Contains(w.printed(), "8080/TCP") }, w.printed)
	if want := "shop/frontend (10.20.0.5)  shop/api (10.20.0.7)"; !strings.Contains(w.printed(), want) {
		t.Errorf("no %q in:\n%s", want, w.printed())
	}
}

// TestWatchBesideAgent runs watch on a node whose agent has the group. It must say so, and
// with --agent it must follow the agent. The agent must not be disturbed.
func TestWatchBesideAgent(t *testing.T) {
	s := newScene(t)
	s.drop(t)
	a := s.startAgent(t, agent.Config{})
	alone := s.watchPiped(t)
	<-alone.done
	if status := alone.cmd.ProcessState.ExitCode(); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	want := fmt.Sprintf("kube-nflog: NFLOG group 100 belongs to %s (process %d), and a group has one reader: "+
		"if that is the agent, follow it by watch --agent; else log to another group as well and read that by --group\n",
		"kube-nflog-oper", a.PID())
	if diff := gocmp.Diff(want, alone.complained()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	with := s.watch(t, nil, "--agent", "--protocol", "tcp")
	s.awaitFollowers(t, a, 1)
	s.send(t, client4, server4, 8080, 3)
	s.await(t, "a row", func() bool { return strings.Contains(with.screen(), "8080/TCP") }, with.screen)
	system.Must(t, a.Stop(s.ctx))
	<-with.done
	_ = with.cmd.Wait() // the test checks its status below
	if status := with.cmd.ProcessState.ExitCode(); status != 1 {
		t.Errorf("exit status %d after the agent's end, want 1", status)
	}
	wantScreen := `drops seen by the agent, until Ctrl-C
TIME      SOURCE           DESTINATION      PORT       PACKETS     RATE  FLAGS  WAY                                PREFIX
HH:MM:SS  10.20.0.5        10.20.0.7        8080/TCP         3           SYN    forward vethclient1 > vethserver2  deny:
kube-nflog: the agent at 127.0.0.1:9090 has ended
`
	if diff := gocmp.Diff(wantScreen, with.screen()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := gocmp.Diff([]logged{{Group: 100, Prefix: "deny: ", Port: 8080, Destination: "10.20.0.7", Packets: 3}}, sums(t, a)); diff != "" {
		t.Errorf("the agent's own lines, -want +got:\n%s", diff)
	}
}

// TestWatchSameLines follows an agent with JSON lines. They must be the same bytes that the
// agent prints, or would print with --output json.
func TestWatchSameLines(t *testing.T) {
	for _, c := range []struct {
		name  string
		agent []string
	}{
		{"agent that prints lines", nil},
		{"agent that counts alone", []string{"--output", "none"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.dropAs(t, "deny: shop/api-ingress")
			a := s.startAgent(t, agent.Config{Args: append(c.agent, "--prefix-pattern", "^deny: (?P<policy>[^ ]+)")})
			w := s.watchPiped(t, "--agent", "--output", "json")
			s.awaitFollowers(t, a, 1)
			for port := range uint16(3) {
				s.send(t, client4, server4, 8080+port, 2)
			}
			lines := func() int { return strings.Count(w.printed(), "\n") }
			s.await(t, "three lines", func() bool { return lines() >= 3 }, w.printed)
			system.Must(t, a.Stop(s.ctx)) // now everything is printed
			<-w.done
			if want := `"reason":"denied by policy shop/api-ingress","policies":["shop/api-ingress"]}`; !strings.Contains(w.printed(), want) {
				t.Errorf("no %s in:\n%s", want, w.printed())
			}
			if c.agent != nil {
				return
			}
			if diff := gocmp.Diff(strings.Join(a.RawLines(), "\n")+"\n", w.printed()); diff != "" {
				t.Errorf("-agent +watch:\n%s", diff)
			}
		})
	}
}

// TestWatchReasons expects the reason below the row of a flow, and only the flows that the
// filters select.
func TestWatchReasons(t *testing.T) {
	s := newScene(t)
	s.dropAs(t, "deny: shop/api-ingress")
	a := s.startAgent(t, agent.Config{Args: []string{"--prefix-pattern", "^deny: (?P<policy>[^ ]+)"}})
	w := s.watch(t, nil, "--agent", "--policy", "api-ingress", "--port", "8080")
	other := s.watchPiped(t, "--agent", "--policy", "shop/other")
	s.awaitFollowers(t, a, 2)
	s.send(t, client4, server4, 8080, 3)
	s.await(t, "a reason", func() bool { return strings.Contains(w.screen(), "\n          denied by policy shop/api-ingress\n") }, w.screen)
	w.stop(t)
	other.stop(t)
	if other.printed() != "" {
		t.Errorf("of another policy:\n%s", other.printed())
	}
}
