package test

import (
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// countingRules returns rules that log packets to the server and count them in the kernel.
func countingRules(s *scene) []string {
	return nftables(s, `counter log prefix "nft-deny" group 100 queue-threshold 20`, "drop")[0]
}

// logged returns how many packets the rule has logged.
func (s *scene) logged(t *testing.T) uint64 {
	t.Helper()
	match := regexp.MustCompile(`counter packets (\d+) `).FindStringSubmatch(s.run(t, "nft", "list chain inet deny server"))
	if match == nil {
		t.Fatal("the rule has no counter")
	}
	n, err := strconv.ParseUint(match[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestShutdown sends SIGTERM while the kernel holds packets. Events and lines must count
// exactly the packets that were logged before.
func TestShutdown(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, countingRules(s)...)
	a := s.startReady(t, agent.Config{})
	p := s.tcp(8080, 100_000)
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { system.Must(t, s.client.SendUntil(p.Packet, p.count, stop)) })
	select {
	case <-a.Changed():
	case <-s.ctx.Done():
		t.Fatal("no line came")
	}
	close(stop)
	sending.Wait()
	system.Must(t, a.Signal(syscall.SIGTERM))
	s.checkShutdown(t, a, s.logged(t), s.logged(t))
}

// TestShutdownInTraffic sends SIGTERM while traffic continues. The agent must report all
// packets that were logged before, and no packet that was not logged.
func TestShutdownInTraffic(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, countingRules(s)...)
	a := s.startReady(t, agent.Config{})
	p := s.tcp(8080, 10_000_000)
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { system.Must(t, s.client.SendUntil(p.Packet, p.count, stop)) })
	select {
	case <-a.Changed():
	case <-s.ctx.Done():
		t.Fatal("no line came")
	}
	before := s.logged(t)
	system.Must(t, a.Signal(syscall.SIGTERM))
	<-a.Done()
	close(stop)
	sending.Wait()
	s.checkShutdown(t, a, before, s.logged(t))
}

// checkShutdown compares the counts in events and lines of an agent that is ending with the
// count of the rule.
func (s *scene) checkShutdown(t *testing.T, a *agent.Agent, least, most uint64) {
	t.Helper()
	status, err := a.Wait(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status != 0 {
		t.Errorf("exit status %d", status)
	}
	var told uint64
	for _, sum := range flows(t, a) {
		told += sum.Packets
	}
	if told < least || told > most {
		t.Errorf("the JSON lines count %d packets, the rule logged %d to %d", told, least, most)
	}
	p := s.tcp(8080, int(told))
	s.wantEvents(t, "server", s.received(p, ` (NFLOG prefix "nft-deny")`))
	t.Logf("%d packets were logged until SIGTERM, %d in all, %d told", least, most, told)
}
