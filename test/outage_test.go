package test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestServerAwayAtStart starts the agent while the API server is down: it
// counts meanwhile, is alive but not ready, and tells everything when the
// server has come up.
func TestServerAwayAtStart(t *testing.T) {
	t.Parallel()
	s, kubeconfig := newSceneAlone(t)
	system.Must(t, s.plane.StopAPIServer())

	a := s.start(t, agent.Config{Kubeconfig: kubeconfig})
	system.Must(t, a.WaitAnswer(s.ctx, "/healthz", http.StatusOK))
	p := s.tcp(8080, 9)
	system.Must(t, s.client.Send(p.Packet, p.count))
	s.awaitReceived(t, a, 9)
	system.Must(t, a.WaitAnswer(s.ctx, "/readyz", http.StatusServiceUnavailable))
	s.awaitMetric(t, a, 1, "kube_nflog_resolve_watch_errors_total", "resource", "pods")
	s.await(t, func() error {
		if warning := regexp.MustCompile(`level=WARN msg="cannot list or watch.* resource=pods `); !warning.MatchString(a.Log()) {
			return fmt.Errorf("the log does not say that pods cannot be listed:\n%s", a.Log())
		}
		return nil
	})
	system.Must(t, a.WaitAnswer(s.ctx, "/healthz", http.StatusOK))

	system.Must(t, s.plane.StartAPIServer(s.ctx))
	system.Must(t, a.WaitReady(s.ctx))
	s.awaitEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
	system.Must(t, a.Stop(s.ctx))
	s.wantEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
}

// newSceneAlone creates a scene with its own control plane, and returns it with the agent's
// kubeconfig. Packets to the server are logged.
func newSceneAlone(t *testing.T) (s *scene, kubeconfig string) {
	t.Helper()
	system.Need(t, "nft")
	sys := shared.Get(t)
	plane, err := controlplane.Start(t.Context(), controlplane.Config{
		Binaries: sys.Binaries, Dir: filepath.Join(netlab.Scratch, t.Name()), Address: netlab.ControlAddress(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, plane.Stop()) })
	account, err := plane.InstallAgent(t.Context(), deployment)
	if err != nil {
		t.Fatal(err)
	}
	if kubeconfig, err = plane.ServiceAccountKubeconfig(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	s = newSceneIn(t, sys, plane)
	s.run(t, nft(s)[0]...)
	return s, kubeconfig
}

// TestRepeated drops packets of one flow again and again while the agent runs. One event
// counts all of them.
func TestRepeated(t *testing.T) {
	t.Parallel() // it takes long, because it waits for the schedule of writes
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nft(s)[0]...)
	a := s.startReady(t, agent.Config{})
	p := s.tcp(8080, 3)
	system.Must(t, s.client.Send(p.Packet, p.count))
	s.awaitEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
	first := s.event(t, "server")

	system.Must(t, s.client.Send(p.Packet, 4))
	p.count = 7
	s.awaitEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
	s.awaitEvents(t, "client", s.sent(p, ` (NFLOG prefix "nft-deny")`))
	second := s.event(t, "server")
	if second.UID != first.UID || !second.FirstTimestamp.Equal(&first.FirstTimestamp) {
		t.Errorf("the event was not patched: %s since %v, was %s since %v", second.UID, second.FirstTimestamp, first.UID, first.FirstTimestamp)
	}
	if since := time.Since(second.LastTimestamp.Time); since > patience || second.LastTimestamp.Time.Before(first.LastTimestamp.Time) {
		t.Errorf("the event's last time is %v, was %v", second.LastTimestamp, first.LastTimestamp)
	}
	s.checkSums(t, a, 7)
	system.Must(t, a.Stop(s.ctx))
}

// TestRestart restarts the agent between packets of one flow. The same event continues its
// count.
func TestRestart(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nft(s)[0]...)
	p := s.tcp(8080, 3)
	for range 3 {
		a := s.startReady(t, agent.Config{})
		system.Must(t, s.client.Send(p.Packet, 3))
		system.Must(t, a.Stop(s.ctx))
		s.wantEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
		p.count += 3
	}
}

// checkSums checks that each packet is in exactly one counter of each stage. Here both ends
// of all packets are pods, and all events are written.
func (s *scene) checkSums(t *testing.T, a *agent.Agent, packets float64) {
	t.Helper()
	metrics, err := a.Metrics(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"packets_received_total": packets, "packets_folded_total": packets,
		"packets_ignored_total": 0, "packets_undecodable_total": 0, "packets_lost_total": 0, "packets_overflowed_total": 0,
		"drops_total":                    packets,
		"event_packets_accepted_total":   2 * packets,
		"event_packets_written_total":    2 * packets,
		"event_packets_suppressed_total": 0, "event_packets_unwritten_total": 0, "event_packets_pending": 0,
	} {
		if metrics["kube_nflog_"+name] == nil {
			t.Errorf("kube_nflog_%s is not among the metrics", name)
		} else if got := metrics.Sum("kube_nflog_" + name); got != want {
			t.Errorf("kube_nflog_%s is %v, want %v", name, got, want)
		}
	}
}
