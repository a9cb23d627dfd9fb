package event

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/emit"
)

// running runs an emitter in a bubble of its own time until the test's
// function returns, then stops it.
func running(t *testing.T, cfg Config, s *fakeServer, test func(t *testing.T, e *testSink)) {
	synctest.Test(t, func(t *testing.T) {
		e := newTestSink(t, cfg, s)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := e.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		test(t, e)
		cancel()
		<-ended
	})
}

// now stamps a flow with the present time.
func now(f *emit.DroppedFlow) *emit.DroppedFlow {
	f.FirstSeen, f.LastSeen = time.Now(), time.Now()
	return f
}

func TestFlowOfAMinuteCostsThreeWrites(t *testing.T) {
	s := newFakeServer()
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
		e.Add(now(tcp(peer, self, 80, 10)))
		time.Sleep(startJitter)
		synctest.Wait()
		if diff := cmp.Diff([]string{"post"}, s.made()); diff != "" {
			t.Errorf("calls for a new flow (-want +got):\n%s", diff)
		}
		for range 60 {
			time.Sleep(time.Second)
			e.Add(now(tcp(peer, self, 80, 10)))
		}
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]string{"post", "patch", "patch"}, s.made()); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		if got := s.total(); got != 610 {
			t.Errorf("the event counts %d, want 610", got)
		}
	})
}

func TestFlowThatComesAndGoesIsWrittenSeldom(t *testing.T) {
	s := newFakeServer()
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
		for range 60 * 3 {
			e.Add(now(tcp(peer, self, 80, 1)))
			time.Sleep(20 * time.Second)
		}
		if got := len(s.made()); got > 15 {
			t.Errorf("%d calls in an hour of a packet every 20 s, want at most 15", got)
		}
	})
}

func TestOutage(t *testing.T) {
	s := newFakeServer()
	away := true
	s.fail = func(*request) error {
		if away {
			return fmt.Errorf("connect: connection refused")
		}
		return nil
	}
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		var want int64
		for second := range 60 {
			for i := range 500 {
				peer, self := pod("shop", fmt.Sprintf("peer-%d", i%10), "10.0.0.5"), pod("shop", fmt.Sprintf("api-%d", i/10), "10.0.1.7")
				peer.UID = "" // so that only one end gets events
				e.Add(now(tcp(peer, self, 80, uint64(second+1))))
				want += int64(second + 1)
			}
			time.Sleep(time.Second)
		}
		if tries := len(s.made()); tries > 60 {
			t.Errorf("%d calls in an outage of 60 s, want at most one a second", tries)
		}
		s.mu.Lock()
		away = false
		s.mu.Unlock()
		back := time.Now()
		for s.total() != want && time.Since(back) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if got := s.total(); got != want {
			t.Errorf("the events count %d, want %d", got, want)
		}
		if took := time.Since(back); took > 15*time.Second {
			t.Errorf("caught up after %v, want 15 s", took)
		} else {
			t.Logf("caught up after %v", took)
		}
	})
}

func TestScanLeavesRoomForNeighbours(t *testing.T) {
	s := newFakeServer()
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		victim := pod("shop", "victim", "10.0.1.7")
		for i := range 50_000 {
			peer := external(fmt.Sprintf("198.%d.%d.%d", 18+i>>16, i>>8&255, i&255))
			e.Add(now(tcp(peer, victim, uint16(22+i%3), 2)))
		}
		time.Sleep(time.Second)
		for i := range 20 {
			peer, self := external("203.0.113.9"), pod("shop", fmt.Sprintf("quiet-%d", i), "10.0.2.1")
			e.Add(now(tcp(peer, self, 443, 1)))
		}
		time.Sleep(2 * time.Second)
		quiet := 0
		for _, ev := range s.list() {
			if ev.InvolvedObject.Name != "victim" {
				quiet++
			}
		}
		if quiet != 20 {
			t.Errorf("%d of 20 neighbours have their event after 2 s", quiet)
		}
		time.Sleep(57 * time.Second)
		if got := len(s.made()) - quiet; got > 30 {
			t.Errorf("%d writes in a minute of a scan, want at most 30", got)
		} else {
			t.Logf("%d writes", got)
		}
		time.Sleep(5 * time.Minute)
		if got := s.total(); got != 100_020 {
			t.Errorf("the events count %d, want 100020", got)
		}
		const want = "Packets dropped when receiving traffic from 49,985 sources on 3 ports (most: 198."
		found := ""
		for _, ev := range s.list() {
			if len(ev.Message) >= len(want) && ev.Message[:len(want)] == want {
				found = ev.Message
			}
		}
		if found == "" {
			t.Errorf("no aggregate begins with %q: %v", want, s.counts())
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	s := newFakeServer()
	var calls []time.Time
	s.fail = func(*request) error {
		calls = append(calls, time.Now())
		if len(calls) == 1 {
			return throttled(9)
		}
		return nil
	}
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		peer := external("203.0.113.9")
		for i := range 10 {
			self := pod("shop", fmt.Sprintf("api-%d", i), "10.0.1.7")
			e.Add(now(tcp(peer, self, 80, 1)))
		}
		time.Sleep(time.Minute)
		if got := s.total(); got != 10 {
			t.Errorf("the events count %d, want 10", got)
		}
		// Calls under way with the first may still arrive.
		for _, at := range calls {
			if since := at.Sub(calls[0]); since > 0 && since < 9*time.Second {
				t.Errorf("a call %v after Retry-After: 9", since)
			}
		}
	})
}

func TestNewFlowsGoBeforeRepeats(t *testing.T) {
	s := newFakeServer()
	running(t, Config{QPS: 1, Burst: 1, PodQPS: 100, PodBurst: 100}, s, func(t *testing.T, e *testSink) {
		self := pod("shop", "api", "10.0.1.7")
		add := func(n int) {
			for i := range n {
				peer := pod("shop", fmt.Sprintf("peer-%d", i), "10.0.0.5")
				peer.UID = ""
				e.Add(now(tcp(peer, self, 80, 1)))
			}
		}
		add(5)
		time.Sleep(20 * time.Second)
		before := len(s.made())
		add(10) // 5 repeats, 5 new
		time.Sleep(8 * time.Second)
		// The very first call may find the budget free before there is a new flow.
		posts := 0
		for _, call := range s.made()[before:][:6] {
			if call == "post" {
				posts++
			}
		}
		if posts != 5 {
			t.Errorf("%d of the first 6 calls are for the 5 new flows: %v", posts, s.made()[before:])
		}
	})
}
