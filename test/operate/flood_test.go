package operate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// flooding returns how many connections TestConnectionFlood opens. A variable can raise it.
func flooding(t *testing.T) int {
	t.Helper()
	text := os.Getenv("KUBE_NFLOG_TEST_CONNECTIONS")
	if text == "" {
		return 3000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestConnectionFlood opens connections to the agent from two pods, with a complete
// request, with a part of one, or with none, and leaves them open. Meanwhile the node's
// probes are answered at each of its addresses, and a follower keeps its connection. The
// agent holds no more connections than its bounds allow.
func TestConnectionFlood(t *testing.T) {
	s := newScene(t)
	a := s.startAgent(t, agent.Config{Listen: ":9090"})
	follower := s.watchPiped(t, "--agent", "--output", "json")
	s.awaitFollowers(t, a, 1)
	requests := []string{"", "GET /healthz HTTP/1.1\r\nHost: n", "GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n"}
	floods := []struct {
		from *netlab.Namespace
		to   string
	}{
		{s.client, "10.20.0.1:9090"}, {s.server, "10.20.0.1:9090"}, {s.client, "[fd00:20::1]:9090"},
	}
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close() // the agent has closed most of them
		}
	}()
	before := anonymous(t, a.PID())
	for i := range flooding(t) {
		flood := floods[i%len(floods)]
		c, err := dial(s.ctx, flood.from, flood.to)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		open = append(open, c)
		_, _ = c.Write([]byte(requests[i/len(floods)%len(requests)])) // fails if the agent has closed it already
		if len(open) == 1000 {
			_ = open[0].Close() // the number of this process's files is limited too
			open = open[1:]
		}
		if i%300 == 0 {
			system.Must(t, errors.Join(s.probe("127.0.0.1:9090"), s.probe("10.20.0.1:9090"), s.probe("[fd00:20::1]:9090")))
			files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.PID()))
			system.Must(t, err)
			if most := 64 + 30; len(files) > most { // 30: its other files, sockets and pipes
				t.Fatalf("%d files are open after %d connections, want %d at most", len(files), i, most)
			}
		}
	}
	t.Logf("the agent's anonymous memory: %s before, %s after %d connections", before, anonymous(t, a.PID()), flooding(t))
	m, err := a.Metrics(s.ctx)
	system.Must(t, err)
	if got := m.Sum("kube_nflog_connections"); got > 64 {
		t.Errorf("%v connections are open, want 64 at most", got)
	}
	if m.Sum("kube_nflog_connections_displaced_total") == 0 {
		t.Error("no connection was displaced")
	}
	if got := m.Sum("kube_nflog_followers"); got != 1 {
		t.Errorf("%v follow at the end, want 1: %s", got, follower.complained())
	}
}

// anonymous returns a process's resident memory that no file backs, as proc_pid_status(5)
// has it. It is for the log alone: a loaded machine's memory proves nothing.
func anonymous(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	system.Must(t, err)
	_, after, _ := strings.Cut(string(status), "RssAnon:")
	line, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(line)
}

// dial connects from the namespace.
func dial(ctx context.Context, from *netlab.Namespace, to string) (c net.Conn, err error) {
	err = from.Do(func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", to)
		return err
	})
	return c, err
}

// probe asks the agent as the kubelet does, with a new connection from the node.
func (s *scene) probe(address string) error {
	c, err := dial(s.ctx, s.node.Namespace, address)
	if err != nil {
		return fmt.Errorf("probe %s: %w", address, err)
	}
	_, err = c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n"))
	answer := make([]byte, 12)
	if err == nil {
		_, err = c.Read(answer)
	}
	if err := errors.Join(err, c.Close()); err != nil || string(answer) != "HTTP/1.1 200" {
		return fmt.Errorf("probe %s: %q: %w", address, answer, errors.Join(err, errors.New("not answered")))
	}
	return nil
}
