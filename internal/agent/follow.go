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
	"github.com/kube-nflog/kube-nflog/nflog"
)

const (
	maxFollowers = 4
	// followerRoom is how many flows wait for a follower at most, about 2 MB.
	followerRoom = 4096
)

// followers are those who follow this agent's flows as they come, by "watch
// --agent". A follower that does not keep up misses flows, which is counted;
// none makes the packets' way wait. Without one, a flow costs an atomic load.
type followers struct {
	count atomic.Int32 // len(all), read without the lock

	mu  sync.Mutex
	all []*follower // the oldest first

	serving           sync.WaitGroup
	missed, displaced prometheus.Counter
}

type follower struct {
	flows     chan emit.DroppedFlow
	missed    atomic.Uint64 // since it was told
	displaced chan struct{} // closed when another took its place
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

// add returns a new follower, which remove ends. Where there are as many as
// may be, it takes the place of the oldest: the client of one may have gone
// without a sign.
func (f *followers) add() *follower {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) >= maxFollowers {
		close(f.all[0].displaced)
		f.all = f.all[1:]
		f.displaced.Inc()
	}
	one := &follower{flows: make(chan emit.DroppedFlow, followerRoom), displaced: make(chan struct{})}
	f.all = append(slices.Clip(f.all), one)
	f.count.Store(int32(len(f.all)))
	return one
}

// remove ends a follower. err is what it ended with: where it was too slow for
// its writes, what it leaves behind counts as missed.
func (f *followers) remove(one *follower, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = slices.DeleteFunc(f.all, func(other *follower) bool { return other == one })
	f.count.Store(int32(len(f.all)))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f.missed.Add(float64(len(one.flows)))
	}
}

// any says whether somebody follows. f may be nil: nobody can without a server.
func (f *followers) any() bool { return f != nil && f.count.Load() > 0 }

// Add hands a flow to all who follow. It does not wait.
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

// followWrite bounds each write to a follower: one that stopped reading goes.
const followWrite = 10 * time.Second

// stream answers requests for flowstream.Path: the flows of this agent as JSON
// lines, as they come, until the client goes or the server ends.
type stream struct {
	followers *followers
	nodeName  string
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.followers.serving.Add(1)
	defer s.followers.serving.Done()
	names, done, err := followLinks()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer done()
	one := s.followers.add()
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.followers.remove(one, newFollowing(w, one, s.nodeName, names).run(r.Context()))
}

func newFollowing(w http.ResponseWriter, one *follower, nodeName string, names func(uint32) string) *following {
	connection := http.NewResponseController(w)
	out := bufio.NewWriter(&timedWriter{w, connection})
	return &following{follower: one, out: out, connection: connection, lines: jsonline.NewEncoder(out, nodeName, names)}
}

// timedWriter gives each write its own deadline. One deadline for all of them
// would end a follower at the first flow after a quiet time.
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

func renew(connection *http.ResponseController) error {
	if err := connection.SetWriteDeadline(time.Now().Add(followWrite)); err != nil {
		return fmt.Errorf("bound a write to a follower: %w", err)
	}
	return nil
}

// followLinks knows the interfaces' names until done is called.
func followLinks() (name func(uint32) string, done func(), err error) {
	links, err := nflog.OpenLinks()
	if err != nil {
		return nil, nil, fmt.Errorf("read the interfaces' names: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = links.Run() // names are then those it had
	}()
	return links.Name, func() {
		_ = links.Close() // fails only if it is closed
		<-ended
	}, nil
}

// following is one answer under way.
type following struct {
	*follower

	out        *bufio.Writer
	connection *http.ResponseController
	lines      *jsonline.Encoder
}

// run writes flows until ctx ends or another takes the place, which are no
// errors, or a write fails.
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

// write writes a flow and those that wait behind it, as many as can wait at
// once, so that the client gets them however many keep coming.
func (f *following) write(one *emit.DroppedFlow) error {
	for n := 1; ; n++ {
		if err := f.lines.Encode(one); err != nil {
			return err
		}
		if n == followerRoom || len(f.flows) == 0 {
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

// end tells a follower why it ends.
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
