package event

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/resolve"
)

func TestRestartGoesOnCounting(t *testing.T) {
	s := newFakeServer()
	peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
	for run, packets := range []uint64{5, 7, 11} {
		e := newTestSink(t, Config{}, s)
		e.Add(tcp(peer, self, 80, packets))
		flush(t, e)
		if want := []int64{5, 12, 23}[run]; s.total() != want {
			t.Errorf("after run %d the event counts %d, want %d", run, s.total(), want)
		}
	}
	want := []string{"post", "post", "adopt", "patch", "post", "adopt", "patch"}
	if diff := cmp.Diff(want, s.made()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if got := len(s.list()); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
}

func TestLostAnswersDoNotCountTwice(t *testing.T) {
	for _, op := range []operation{opPost, opAdopt, opPatch} {
		t.Run(op.String(), func(t *testing.T) {
			s := newFakeServer()
			peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
			before := newTestSink(t, Config{}, s)
			before.Add(tcp(peer, self, 81, 4))
			flush(t, before)
			lost := 0
			s.lose = func(j *request) error {
				if j.op == op && lost < 2 {
					lost++
					return errors.New("connection reset by peer")
				}
				return nil
			}
			running(t, Config{}, s, func(_ *testing.T, e *testSink) {
				for range 40 {
					e.Add(now(tcp(peer, self, 80, 1))) // new
					e.Add(now(tcp(peer, self, 81, 1))) // left by the run before
					time.Sleep(time.Second)
				}
				time.Sleep(10 * time.Minute)
			})
			if lost != 2 {
				t.Fatalf("%d answers lost, want 2", lost)
			}
			if got := s.total(); got != 84 {
				t.Errorf("the events count %d, want 84", got)
			}
		})
	}
}

func TestExpiryStartsAnew(t *testing.T) {
	s := newFakeServer()
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
		e.Add(now(tcp(peer, self, 80, 100)))
		time.Sleep(startJitter)
		synctest.Wait()
		s.mu.Lock()
		clear(s.events)
		s.mu.Unlock()
		time.Sleep(time.Minute)
		again := time.Now()
		e.Add(now(tcp(peer, self, 80, 3)))
		time.Sleep(time.Minute)
		events := s.list()
		if len(events) != 1 || events[0].Count != 3 || !events[0].FirstTimestamp.Time.Equal(again) {
			t.Errorf("after expiry the events are %v, want one of 3 packets since %v", events, again)
		}
		checkSums(t, e)
	})
}

func TestCountStopsAtItsLimit(t *testing.T) {
	s := newFakeServer()
	peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
	for range 2 {
		e := newTestSink(t, Config{}, s)
		e.Add(tcp(peer, self, 80, math.MaxInt32-1))
		flush(t, e)
	}
	if got := s.list()[0].Count; got != math.MaxInt32 {
		t.Errorf("the event counts %d, want %d", got, math.MaxInt32)
	}
}

func TestReplicasFoldIntoOneEvent(t *testing.T) {
	s := newFakeServer()
	e := newTestSink(t, Config{}, s)
	self := pod("shop", "api", "10.0.1.7")
	for i := range 3 {
		peer := pod("web", fmt.Sprintf("front-%d", i), fmt.Sprintf("10.0.0.%d", 5+i))
		peer.Workload, peer.UID = "Deployment/front", ""
		e.Add(tcp(peer, self, 80, 1))
	}
	dual := pod("web", "dual", "10.0.0.9")
	dual.UID = ""
	e.Add(tcp(dual, self, 80, 1))
	dual.IP = external("fd00::9").IP
	e.Add(tcp(dual, self, 80, 1))
	flush(t, e)
	want := map[string]int32{
		"api: Packet dropped when receiving traffic from Deployment/front in web (3 pods, last web/front-2 (10.0.0.7)) on port 80/TCP.": 3,
		"api: Packet dropped when receiving traffic from web/dual (10.0.0.9, fd00::9) on port 80/TCP.":                                  2,
	}
	if diff := cmp.Diff(want, s.counts()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// TestNothingIsLostInChaos throws random flows at an emitter with small bounds
// and a server with random failures, and asserts that every packet is in
// exactly one counter and that the events add up to what was written.
func TestNothingIsLostInChaos(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, seed))
			s := newFakeServer()
			stormy := true
			weather := rand.New(rand.NewPCG(seed, seed+1))
			s.fail = func(*request) error {
				switch {
				case !stormy || weather.IntN(3) > 0:
					return nil
				case weather.IntN(2) > 0:
					return throttled(weather.IntN(3))
				}
				return errors.New("connection refused")
			}
			s.lose = func(*request) error {
				if stormy && weather.IntN(5) == 0 {
					return errors.New("connection reset by peer")
				}
				return nil
			}
			cfg := Config{MaxEntries: 40, MaxPods: 12, ObjectsPerPod: 6, PodQPS: 5}
			running(t, cfg, s, func(t *testing.T, e *testSink) {
				for range 300 {
					src, dst := randomEnd(random), randomEnd(random)
					e.Add(now(tcp(src, dst, uint16(random.IntN(4)), 1+random.Uint64N(9))))
					time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
				}
				checkSums(t, e)
				s.mu.Lock()
				stormy = false
				s.mu.Unlock()
				time.Sleep(20 * time.Minute)
				checkSums(t, e)
				if e.counters.pending != 0 {
					t.Errorf("%d packets are still pending", e.counters.pending)
				}
				if got, want := float64(s.total()), sum(t, e.counters.writtenCount); got != want {
					t.Errorf("the events count %v, the metric %v", got, want)
				}
			})
		})
	}
}

func randomEnd(random *rand.Rand) resolve.Endpoint {
	switch random.IntN(4) {
	case 0:
		return external(fmt.Sprintf("203.0.113.%d", random.IntN(30)))
	case 1:
		return resolve.Endpoint{IP: external("10.9.9.9").IP, Ambiguous: true}
	}
	n := random.IntN(20)
	ep := pod([]string{"shop", "bank"}[n%2], fmt.Sprintf("pod-%d", n), fmt.Sprintf("10.0.0.%d", n))
	if n%3 == 0 {
		ep.Workload = "Deployment/d"
	}
	return ep
}

func TestClockSetBack(t *testing.T) {
	s := newFakeServer()
	e := newTestSink(t, Config{}, s)
	peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
	for _, offset := range []time.Duration{0, 24 * time.Hour, time.Hour, time.Hour - 10*time.Second} {
		f := tcp(peer, self, 80, 1)
		f.FirstSeen, f.LastSeen = start.Add(offset), start.Add(offset)
		e.Add(f)
	}
	wrong := tcp(peer, self, 80, 1) // the clock was set back between two packets
	wrong.FirstSeen, wrong.LastSeen = start.Add(2*time.Hour), start.Add(time.Hour)
	e.Add(wrong)
	flush(t, e)
	ev := s.list()[0]
	if !ev.FirstTimestamp.Time.Equal(start) || !ev.LastTimestamp.Time.Equal(start.Add(time.Hour)) || ev.Count != 5 {
		t.Errorf("the event lasts from %v to %v with %d packets, want %v, an hour later, 5", ev.FirstTimestamp, ev.LastTimestamp, ev.Count, start)
	}
}
