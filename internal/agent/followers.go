//go:build linux

package agent

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/emit"
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
			Help: "Flows that those who follow this agent (watch --agent) were too slow for.",
		}),
	}
	f.displaced = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kube_nflog_followers_displaced_total",
		Help: "Followers of this agent (watch --agent) that a newer one took the place of.",
	})
	following := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kube_nflog_followers", Help: "How many follow this agent's flows (watch --agent).",
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
