package operate

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestWatchEndsWithItsReader closes the reader of a watch's output. The watch must end,
// although nothing is dropped.
func TestWatchEndsWithItsReader(t *testing.T) {
	s := newScene(t)
	a := s.startAgent(t, agent.Config{})
	w := newTerminal(nil, []string{"--agent"})
	reader, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.node.Start(w.cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() { _ = w.cmd.Process.Kill() }) // it has ended already, unless the test failed
	s.awaitFollowers(t, a, 1)
	system.Must(t, reader.Close())
	go func() { ended <- w.cmd.Wait() }()
	select {
	case err := <-ended:
		system.Must(t, err)
	case <-s.ctx.Done():
		t.Fatal("it watches on")
	}
	s.awaitFollowers(t, a, 0)
}

// TestWatchEndsInTime runs watch without a terminal. It must end after the duration of
// --for.
func TestWatchEndsInTime(t *testing.T) {
	s := newScene(t)
	s.startAgent(t, agent.Config{})
	w := s.watchPiped(t, "--agent", "--for", "200ms")
	select {
	case <-w.done:
	case <-s.ctx.Done():
		t.Fatal("it watches on")
	}
	want := "drops seen by the agent, until Ctrl-C\nkube-nflog: ended after 200ms: --for DURATION watches longer, --for 0 without end\n"
	if diff := gocmp.Diff(want, w.complained()); diff != "" || w.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("exit status %d, -want +got:\n%s", w.cmd.ProcessState.ExitCode(), diff)
	}
}

// TestWatchTooMany starts more followers than the bound. Each new one gets in, and the
// oldest is told that another took its place.
func TestWatchTooMany(t *testing.T) {
	s := newScene(t)
	a := s.startAgent(t, agent.Config{})
	oldest := s.watchPiped(t, "--agent")
	s.awaitFollowers(t, a, 1)
	for i := range 4 {
		s.watchPiped(t, "--agent")
		s.awaitFollowers(t, a, float64(min(i+2, 4)))
	}
	select {
	case <-oldest.done:
	case <-s.ctx.Done():
		t.Fatal("the oldest watches on")
	}
	want := "drops seen by the agent, until Ctrl-C\n" +
		"kube-nflog: the agent at 127.0.0.1:9090 ended this: a newer follower took the place of this one: 4 may follow an agent at once\n"
	if diff := gocmp.Diff(want, oldest.complained()); diff != "" || oldest.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit status %d, -want +got:\n%s", oldest.cmd.ProcessState.ExitCode(), diff)
	}
}

// TestWatchNoAgent runs watch --agent on a node without an agent.
func TestWatchNoAgent(t *testing.T) {
	s := newScene(t)
	w := s.watchPiped(t, "--agent")
	<-w.done
	if status := w.cmd.ProcessState.ExitCode(); status != 1 || !strings.Contains(w.complained(), "no agent answers on this host") {
		t.Errorf("exit status %d: %s", status, w.complained())
	}
}

// TestFlowsStayOnTheHost asks for an agent's flows from another host, which must be
// refused.
func TestFlowsStayOnTheHost(t *testing.T) {
	system.Need(t, "curl")
	s := newScene(t)
	s.startAgent(t, agent.Config{Listen: ":9090"})
	out, err := s.client.Command(s.ctx, "curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "http://10.20.0.1:9090/flows")
	if err != nil || out != "403" {
		t.Errorf("status %s (%v), want 403", out, err)
	}
}
