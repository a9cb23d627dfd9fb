package event

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestRefusals(t *testing.T) {
	noRight := apierrors.NewForbidden(eventsResource, "", errors.New("no right"))
	noNamespace := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop")
	unacceptable := apierrors.NewInvalid(schema.GroupKind{Kind: "Event"}, "x", nil)
	for _, tt := range []struct {
		name      string
		err       error
		lifted    bool // the refusal ends after a minute
		wantCount int64
		wantCalls int // at most, in five minutes of a flow a second to 10 pods and ten more
		wantLog   string
	}{
		{"forbidden, then allowed", noRight, true, 3000, 60, "forbids"},
		{"forbidden for good", noRight, false, 0, 45, "forbids"},
		{"namespace gone", noNamespace, false, 0, 15, "gone"},
		{"invalid", unacceptable, false, 0, 10, "finds it invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeServer()
			refused := true
			s.fail = func(*request) error {
				if refused {
					return tt.err
				}
				return nil
			}
			var log bytes.Buffer
			cfg := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			running(t, cfg, s, func(t *testing.T, e *testSink) {
				peer := external("203.0.113.9")
				for second := range 300 {
					for i := range 10 {
						self := pod("shop", fmt.Sprintf("api-%d", i), "10.0.1.7")
						e.Add(now(tcp(peer, self, 80, 1)))
					}
					time.Sleep(time.Second)
					if second == 60 && tt.lifted {
						s.mu.Lock()
						refused = false
						s.mu.Unlock()
					}
				}
				time.Sleep(10 * time.Minute)
				checkSums(t, e)
			})
			if got := s.total(); got != tt.wantCount {
				t.Errorf("the events count %d, want %d", got, tt.wantCount)
			}
			if got := len(s.made()); got > tt.wantCalls {
				t.Errorf("%d calls, want at most %d", got, tt.wantCalls)
			}
			if got := strings.Count(log.String(), tt.wantLog); got != 1 {
				t.Errorf("%d log lines say %q, want 1:\n%s", got, tt.wantLog, log.String())
			}
		})
	}
}

// checkSums asserts that every packet is in exactly one counter.
func checkSums(t *testing.T, e *testSink) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	a := e.counters
	dropped := float64(e.dropped.Load())
	accepted, suppressed := sum(t, a.accepted), sum(t, a.suppressedCount)
	if 2*dropped != accepted+suppressed {
		t.Errorf("2 × %v dropped != %v accepted + %v suppressed", dropped, accepted, suppressed)
	}
	done, unwritten := sum(t, a.writtenCount), sum(t, a.unwrittenCount)
	if accepted != done+unwritten+float64(a.pending) {
		t.Errorf("%v accepted != %v written + %v unwritten + %v pending", accepted, done, unwritten, a.pending)
	}
	var pending uint64
	for _, s := range e.correlator.objects.byKey {
		for _, r := range s.entries {
			pending += r.pending()
		}
	}
	if pending != a.pending {
		t.Errorf("the entries have %v pending packets, the counters %v", pending, a.pending)
	}
}

func TestFlushSaysWhatItCouldNotWrite(t *testing.T) {
	s := newFakeServer()
	s.fail = func(j *request) error {
		if j.namespace == "shop" {
			return errors.New("connection refused")
		}
		return nil
	}
	e := newTestSink(t, Config{}, s)
	peer := external("203.0.113.9")
	for _, self := range []struct{ namespace, name string }{{"shop", "api"}, {"bank", "api"}} {
		ep := pod(self.namespace, self.name, "10.0.1.7")
		e.Add(tcp(peer, ep, 80, 7))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := e.Flush(ctx)
	var unwritten *unwrittenError
	if !errors.As(err, &unwritten) {
		t.Fatalf("Flush says %v", err)
	}
	want := unwrittenError{Events: 1, Packets: 7, Pods: []string{"shop/api"}, Cause: context.DeadlineExceeded}
	if diff := cmp.Diff(want, *unwritten, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("unwritten (-want +got):\n%s", diff)
	}
	if got := testutil.ToFloat64(e.counters.unwrittenCount.WithLabelValues(reasonShutdown)); got != 7 {
		t.Errorf("%v packets counted as unwritten, want 7", got)
	}
	if got := s.total(); got != 7 {
		t.Errorf("the events count %d, want bank's 7", got)
	}
	checkSums(t, e)
}

func TestFlushEndsWhenAllThatIsLeftIsForbidden(t *testing.T) {
	s := newFakeServer()
	s.fail = func(*request) error { return apierrors.NewForbidden(eventsResource, "", errors.New("no right")) }
	e := newTestSink(t, Config{}, s)
	peer, self := external("203.0.113.9"), pod("shop", "api", "10.0.1.7")
	e.Add(tcp(peer, self, 80, 7))
	err := e.Flush(t.Context())
	if want := "event: 1 events with 7 packets not written (shop/api)"; err == nil || err.Error() != want {
		t.Errorf("Flush says %v, want %s", err, want)
	}
}

func TestTerminatingNamespaceIsGone(t *testing.T) {
	err := apierrors.NewForbidden(eventsResource, "", errors.New("being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	if a := classify(t.Context(), &request{op: opPost}, err); a.class != namespaceGone {
		t.Errorf("the class is %d, want namespaceGone", a.class)
	}
}
