package resolve

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

// askOn starts a lookupCache with simulated time. Each answer takes a second.
func askOn(t *testing.T, qps rate.Limit) (a *lookupCache[string], asked func() int, refused func() int) {
	var mu sync.Mutex
	var questions, turned int
	a = &lookupCache[string]{
		timeout: 5 * time.Second,
		limiter: rate.NewLimiter(qps, 1),
		refused: func() { turned++ },
		now:     func() int64 { return time.Now().UnixNano() },
		ask: func(ctx context.Context, addr netip.Addr) (string, time.Duration) {
			mu.Lock()
			questions++
			mu.Unlock()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return addr.String(), time.Minute
		},
	}
	a.init()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return a, func() int {
		mu.Lock()
		defer mu.Unlock()
		return questions
	}, func() int { return turned }
}

func TestAskerAsksOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, asked, _ := askOn(t, rate.Inf)
		for range 10 {
			if !a.want(addr("10.0.0.1")) {
				t.Error("not asked")
			}
		}
		if got := a.get(addr("10.0.0.1")); got.known {
			t.Errorf("known before the answer: %+v", got)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if got := a.get(addr("10.0.0.1")); !got.known || got.value != "10.0.0.1" {
			t.Errorf("after the answer: %+v", got)
		}
		if asked() != 1 {
			t.Errorf("asked %d times, want once", asked())
		}
	})
}

func TestAskerKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, asked, refused := askOn(t, 2)
		for i := range 10_000 { // a thousand questions a second
			a.want(numbered(i))
			<-time.After(time.Millisecond)
		}
		if n := asked(); n < 15 || n > 22 {
			t.Errorf("asked %d times in 10 s, want about 20", n)
		}
		if refused() < 9_000 {
			t.Errorf("refused %d of 10000, want nearly all", refused())
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory[int](100)
	for i := range 1000 {
		m.put(numbered(i), i, 0)
		m.put(numbered(i), i, 0)
	}
	if len(m.entries) != 100 || m.order.len() != 100 || len(m.order.items) > 400 {
		t.Errorf("%d entries, %d in order, %d items, want 100, 100, few", len(m.entries), m.order.len(), len(m.order.items))
	}
	if _, ok := m.get(numbered(999)); !ok {
		t.Error("the newest is forgotten")
	}
	if _, ok := m.get(numbered(0)); ok {
		t.Error("the oldest is remembered")
	}
}

func TestCleanName(t *testing.T) {
	tests := map[string]struct{ name, want string }{
		"host name":          {"db-1.example.com.", "db-1.example.com"},
		"service record":     {"_sip._tcp.example.com.", "_sip._tcp.example.com"},
		"control characters": {"a\r\n\x00b.", "a???b"},
		"terminal escape":    {"\x1b[31mred", "??31mred"},
		"not UTF-8":          {"a\xffb", "a?b"},
		"looks like a pod":   {"shop/frontend (10.0.0.5)", "shop?frontend??10.0.0.5?"},
		"too long":           {strings.Repeat("a", 300), strings.Repeat("a", 253)},
		"nothing":            {".", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := cleanName(tt.name); got != tt.want {
				t.Errorf("cleanName(%q) = %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

func TestPeerAnswers(t *testing.T) {
	const s = int64(time.Second)
	p := &pod{from: 100 * s}
	tests := map[string]struct {
		peer    peer
		at, now int64
		want    ownerState
	}{
		"had it":                     {peer{pod: p, asked: 200 * s}, 150, 201, ownerFound},
		"may have had it":            {peer{pod: p, asked: 200 * s}, 101, 201, ownerAmbiguous},
		"another had it before":      {peer{pod: p, asked: 200 * s}, 50, 201, ownerAmbiguous},
		"seen after the answer":      {peer{pod: p, asked: 200 * s}, 201, 201, ownerPending},
		"old answer, older packet":   {peer{pod: p, asked: 200 * s}, 150, 900, ownerFound},
		"nobody":                     {peer{asked: 200 * s}, 150, 201, ownerNone},
		"nobody, a moment later":     {peer{asked: 200 * s}, 205, 205, ownerNone},
		"nobody, but that was then":  {peer{asked: 200 * s}, 300, 300, ownerPending},
		"several":                    {peer{many: true, asked: 200 * s}, 150, 201, ownerAmbiguous},
		"several, after the answer":  {peer{many: true, asked: 200 * s}, 201, 201, ownerPending},
		"a node, while that is good": {peer{node: "n2", asked: 200 * s}, 205, 205, ownerNone},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tt.peer.judge(tt.at*s, 210*s, tt.now*s, 2*s); got != tt.want {
				t.Errorf("answer %v, want %v", got, tt.want)
			}
		})
	}
}
