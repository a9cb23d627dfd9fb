//go:build linux

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/internal/flowstream"
)

const (
	maxFollowers = 4
	// followerQueue bounds the flows that wait for one follower, to about 3 MB.
	followerQueue = 4096
)

// followers is the sink of those who follow this agent's flows as they come ("watch
// --agent"). A follower that does not keep up misses flows, which are counted. No follower
// makes the packet path wait. Without followers, a flow costs an atomic load.
type followers struct {
	count atomic.Int32 // len(all), read without the lock

	mu  sync.Mutex
	all []*follower // the oldest first

	serving           sync.WaitGroup // the streams
	missed, displaced prometheus.Counter
}

// follower is one of them.
type follower struct {
	flows     chan emit.DroppedFlow
	missed    atomic.Uint64 // flows since the last Missed line
	displaced chan struct{} // closed when another follower has taken its place
}

func newFollowers(reg prometheus.Registerer) *followers {
	f := &followers{
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kube_nflog_follower_flows_missed_total",
			Help: "Flows that followers of this agent (watch --agent) missed, because they were too slow.",
		}),
	}
	f.displaced = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kube_nflog_followers_displaced_total",
		Help: "Followers of this agent (watch --agent) that a newer follower displaced.",
	})
	following := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kube_nflog_followers", Help: "Current followers of this agent (watch --agent).",
	}, func() float64 { return float64(f.count.Load()) })
	reg.MustRegister(f.missed, f.displaced, following)
	return f
}

// add returns a new follower. remove must end it. If there are maxFollowers already, it
// takes the place of the oldest, whose client may have gone without a sign.
func (f *followers) add() *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) >= maxFollowers {
		close(f.all[0].displaced)
		f.all = f.all[1:]
		f.displaced.Inc()
	}
	one := &follower{flows: make(chan emit.DroppedFlow, followerQueue), displaced: make(chan struct{})}
	f.all = append(slices.Clip(f.all), one)
	f.count.Store(int32(len(f.all)))
	return one
}

// remove ends a follower. err is the error of its stream. If a write took too long, the
// flows that still wait count as missed.
func (f *followers) remove(one *follower, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(other *follower) bool { return other == one })
	f.count.Store(int32(len(f.all)))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.missed.Add(float64(len(one.flows)))
	}
}

// any reports whether there is a follower. f may be nil: there is no server then.
func (f *followers) any() bool { return f != nil && f.count.Load() > 0 }

// Add hands a flow to all followers. It does not wait.
func (f *followers) Add(d *emit.DroppedFlow) {
	if !f.any() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.all {
		select {
		case one.flows <- *d:
		default:
			one.missed.Add(1)
			f.missed.Inc()
		}
	}
}

// maxFollowerWrite bounds each write to a follower. A follower that reads nothing for this
// long is removed.
const maxFollowerWrite = 10 * time.Second

// stream answers requests for flowstream.Path with the flows of this agent as JSON lines,
// until the client goes or the server ends.
type stream struct {
	followers     *followers
	nodeName      string
	interfaceName func(index uint32) string
}

// ServeHTTP answers one request.
func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.followers.serving.Add(1)
	defer s.followers.serving.Done()
	one := s.followers.add()
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.followers.remove(one, newFollowing(w, one, s.nodeName, s.interfaceName).run(r.Context()))
}

func newFollowing(w http.ResponseWriter, one *follower, nodeName string, interfaceName func(uint32) string) *following {
	connection := http.NewResponseController(w)
	out := bufio.NewWriter(&timedWriter{w, connection})
	return &following{follower: one, out: out, connection: connection, lines: jsonline.NewEncoder(out, nodeName, interfaceName)}
}

// timedWriter gives each write its own deadline. With one deadline for all writes, a
// follower would end at the first flow after a quiet time.
type timedWriter struct {
	http.ResponseWriter

	connection *http.ResponseController
}

func (w *timedWriter) Write(b []byte) (int, error) {
	if err := renew(w.connection); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

// renew sets the deadline of the next write.
func renew(connection *http.ResponseController) error {
	if err := connection.SetWriteDeadline(time.Now().Add(maxFollowerWrite)); err != nil {
		return fmt.Errorf("bound a write to a follower: %w", err)
	}
	return nil
}

// following writes the flows of one follower to its client.
type following struct {
	*follower

	out        *bufio.Writer
	connection *http.ResponseController
	lines      *jsonline.Encoder
}

// run writes flows until ctx ends, another follower takes the place, or a write fails.
// Only the last is an error.
func (f *following) run(ctx context.Context) error {
	if err := f.flush(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.displaced:
			return f.end(fmt.Sprintf("a newer follower took the place of this one: %d may follow an agent at once", maxFollowers))
		case one := <-f.flows:
			if err := f.write(&one); err != nil {
				return err
			}
		}
	}
}

// write writes a flow and the flows that wait behind it, then flushes. It writes at most
// as many as can wait, so that it flushes even if flows keep coming.
func (f *following) write(one *emit.DroppedFlow) error {
	for n := 1; ; n++ {
		if err := f.lines.Encode(one); err != nil {
			return err
		}
		if n == followerQueue || len(f.flows) == 0 {
			break
		}
		*one = <-f.flows
	}
	if missed := f.missed.Swap(0); missed > 0 {
		if err := json.NewEncoder(f.out).Encode(flowstream.Missed{Flows: missed}); err != nil {
			return fmt.Errorf("tell a follower what it missed: %w", err)
		}
	}
	return f.flush()
}

// end tells the client why the stream ends.
func (f *following) end(why string) error {
	if err := json.NewEncoder(f.out).Encode(flowstream.Ended{Why: why}); err != nil {
		return fmt.Errorf("tell a follower why it ends: %w", err)
	}
	return f.flush()
}

func (f *following) flush() error {
	if err := f.out.Flush(); err != nil {
		return fmt.Errorf("write to a follower: %w", err)
	}
	if err := renew(f.connection); err != nil {
		return err
	}
	return f.connection.Flush()
}
