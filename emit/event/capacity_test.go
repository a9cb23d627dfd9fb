package event

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// forbidding returns a server that forbids events in one namespace.
func forbidding(namespace string) *fakeServer {
	s := newFakeServer()
	s.fail = func(j *request) error {
		if j.namespace == namespace {
			return apierrors.NewForbidden(eventsResource, "", errors.New("no right"))
		}
		return nil
	}
	return s
}

// TestForbiddenNamespaceStarvesNobody has a namespace where events are
// forbidden flood the correlator for 36 hours, with a new pod each minute and new
// peers of each. Another namespace's new pods get their events all the while.
func TestForbiddenNamespaceStarvesNobody(t *testing.T) {
	s := forbidding("locked")
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		for minute := range 36 * 60 {
			for i := range 10 {
				peer := pod("locked", fmt.Sprintf("peer-%d", i), "10.0.0.5")
				peer.UID = ""
				request := pod("locked", fmt.Sprintf("job-%d", minute), "10.0.1.8")
				e.Add(now(tcp(peer, request, 80, 1)))
			}
			if minute%60 == 0 {
				peer, self := external("203.0.113.9"), pod("shop", fmt.Sprintf("api-%d", minute/60), "10.0.1.7")
				e.Add(now(tcp(peer, self, 80, 7)))
			}
			time.Sleep(time.Minute)
		}
		if got := s.total(); got != 36*7 {
			t.Errorf("the other namespace's events count %d, want %d", got, 36*7)
		}
		if got := testutil.ToFloat64(e.counters.suppressedCount.WithLabelValues(reasonTableFull)); got != 0 {
			t.Errorf("%v packets found the table full", got)
		}
		if got, share := e.correlator.objects.share("locked").objects.Len(), e.cfg.MaxPods/forbiddenShare; got > share {
			t.Errorf("the forbidden namespace holds %d pods, want at most %d", got, share)
		}
		if got, share := e.correlator.objects.share("locked").entries, e.cfg.MaxEntries/forbiddenShare; got > share {
			t.Errorf("the forbidden namespace holds %d records, want at most %d", got, share)
		}
		if got := testutil.ToFloat64(e.counters.unwrittenCount.WithLabelValues(reasonForbidden)); got == 0 {
			t.Error("what was given up is not counted")
		}
		checkSums(t, e)
	})
}

// TestWhatIsForbiddenGoesFirst fills the correlator with pods of namespaces that
// are then forbidden, all of them together more than their shares.
func TestWhatIsForbiddenGoesFirst(t *testing.T) {
	s := newFakeServer()
	s.fail = func(j *request) error {
		if j.namespace != "shop" {
			return apierrors.NewForbidden(eventsResource, "", errors.New("no right"))
		}
		return nil
	}
	running(t, Config{MaxPods: 40, MaxEntries: 40}, s, func(t *testing.T, e *testSink) {
		peer := external("203.0.113.9")
		for i := range 60 {
			self := pod(fmt.Sprintf("locked-%d", i), "api", "10.0.1.8")
			e.Add(now(tcp(peer, self, 80, 1)))
			time.Sleep(time.Second)
		}
		for i := range 30 {
			self := pod("shop", fmt.Sprintf("api-%d", i), "10.0.1.7")
			e.Add(now(tcp(peer, self, 80, 7)))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if got := s.total(); got != 30*7 {
			t.Errorf("the namespace that may have events counts %d, want %d", got, 30*7)
		}
		for _, ev := range s.list() {
			if ev.Message != "Packet dropped when receiving traffic from 203.0.113.9 on port 80/TCP." {
				t.Errorf("%s got an aggregate: %s", ev.InvolvedObject.Name, ev.Message)
			}
		}
		checkSums(t, e)
	})
}

// TestBusyNamespaceLeavesRoom has one namespace fill the correlator while the API
// server is away. Another one's pods are taken up, until it holds as many.
func TestBusyNamespaceLeavesRoom(t *testing.T) {
	s := newFakeServer()
	away := true
	s.fail = func(*request) error {
		if away {
			return errors.New("connection refused")
		}
		return nil
	}
	running(t, Config{MaxPods: 40}, s, func(t *testing.T, e *testSink) {
		peer := external("203.0.113.9")
		add := func(namespace string, pods int) {
			for i := range pods {
				self := pod(namespace, fmt.Sprintf("api-%d", i), "10.0.1.8")
				e.Add(now(tcp(peer, self, 80, 1)))
			}
		}
		add("busy", 100)
		add("shop", 10)
		add("busy", 100)
		checkSums(t, e)
		s.mu.Lock()
		away = false
		s.mu.Unlock()
		time.Sleep(5 * time.Minute)
		got := map[string]int{}
		for _, ev := range s.list() {
			got[ev.Namespace]++
		}
		if got["shop"] != 10 || got["busy"] != 30 {
			t.Errorf("events by namespace are %v, want shop 10 and busy 30", got)
		}
		checkSums(t, e)
	})
}
