package test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// The agents of these tests end within shutdownWithin. slack allows for a busy machine.
const (
	shutdownWithin = 3 * time.Second
	slack          = time.Minute
)

// endInTime sends SIGTERM. The agent must end in time and without an error, and its log must
// contain says, which is what it could not do.
func (s *scene) endInTime(t *testing.T, a *agent.Agent, says string) {
	t.Helper()
	begin := time.Now()
	system.Must(t, a.Signal(syscall.SIGTERM))
	status, err := a.Wait(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > shutdownWithin+slack {
		t.Errorf("the agent took %v to end, --shutdown-within is %v", took, shutdownWithin)
	}
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	if !strings.Contains(a.Log(), says) {
		t.Errorf("the log does not say %q", says)
	}
}

// TestShutdownStdoutStuck ends an agent whose standard output nobody reads. It must write the
// events of all flows before the one whose line blocks.
func TestShutdownStdoutStuck(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nft(s)[0]...)
	p := newPipe(t)
	a := s.startReady(t, agent.Config{Stdout: p.write, Args: []string{"--shutdown-within", shutdownWithin.String()}})
	const note = ` (NFLOG prefix "nft-deny")`

	again, stuck, behind := s.tcp(8080, 3), s.tcp(8081, 5), s.tcp(8082, 2)
	system.Must(t, s.client.Send(again.Packet, 3))
	s.awaitEvents(t, "server", s.received(again, note))
	// More packets of that flow wait for the schedule of writes.
	first := s.awaitUnread(t, p, 0)
	system.Must(t, s.client.Send(again.Packet, 4))
	s.awaitUnread(t, p, first)
	p.fill(t)
	system.Must(t, s.client.Send(stuck.Packet, stuck.count))
	s.awaitEvents(t, "server", s.received(again, note), s.received(stuck, note))
	system.Must(t, s.client.Send(behind.Packet, behind.count))
	s.awaitReceived(t, a, 14)

	s.endInTime(t, a, "some flows were not handed on: is standard output read?")
	again.count = 7
	s.wantEvents(t, "server", s.received(again, note), s.received(stuck, note))
}

// TestShutdownServerAway ends an agent whose API server does not come back. At that time the
// agent tries to write accepted packets, and holds flows whose pods are not certain.
func TestShutdownServerAway(t *testing.T) {
	t.Parallel()
	s, kubeconfig := newSceneAlone(t)
	a := s.startReady(t, agent.Config{Kubeconfig: kubeconfig, Args: []string{"--shutdown-within", shutdownWithin.String()}})
	p := s.tcp(8080, 3)
	system.Must(t, s.client.Send(p.Packet, 3))
	s.awaitEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
	system.Must(t, s.client.Send(p.Packet, 6)) // these packets wait for the schedule of writes
	s.awaitMetric(t, a, 18, "kube_nflog_event_packets_accepted_total")
	system.Must(t, s.plane.StopAPIServer())
	system.Must(t, s.client.Send(p.Packet, 2))
	s.awaitReceived(t, a, 11)
	s.awaitMetric(t, a, 4, "kube_nflog_event_writes_total", "result", "unreachable")
	s.awaitMetric(t, a, 3, "kube_nflog_resolve_watch_errors_total", "resource", "pods")
	s.endInTime(t, a, "some events were not written")
}

// pipe is a pipe with the smallest capacity, which nobody reads.
type pipe struct{ read, write *os.File }

func newPipe(t *testing.T) pipe {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	p := pipe{os.NewFile(uintptr(fds[0]), "read end"), os.NewFile(uintptr(fds[1]), "write end")}
	t.Cleanup(func() { system.Must(t, errors.Join(p.read.Close(), p.write.Close())) })
	if _, err := unix.FcntlInt(p.write.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	return p
}

// unread returns the number of bytes in the pipe.
func (p pipe) unread(t *testing.T) int {
	t.Helper()
	n, err := unix.IoctlGetInt(int(p.read.Fd()), unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// awaitUnread waits until more than the given number of bytes are in the pipe.
func (s *scene) awaitUnread(t *testing.T, p pipe, than int) (bytes int) {
	t.Helper()
	s.await(t, func() error {
		if bytes = p.unread(t); bytes <= than {
			return fmt.Errorf("the pipe holds %d bytes, want more than %d", bytes, than)
		}
		return nil
	})
	return bytes
}

// fill fills the pipe.
func (p pipe) fill(t *testing.T) {
	t.Helper()
	if _, err := p.write.Write(make([]byte, os.Getpagesize()-p.unread(t))); err != nil {
		t.Fatal(err)
	}
}
