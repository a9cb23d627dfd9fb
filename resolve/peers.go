package resolve

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// peerAgain is how soon the API server is asked again about a pod's
	// address. What was seen since the last answer waits until then, so that
	// an answer is never older than the packets it is used for.
	peerAgain  = 10 * time.Second
	peerNobody = time.Minute     // no pod has the address
	peerNode   = 5 * time.Minute // a node's address
	peerFailed = 10 * time.Second
	peerWithin = 5 * time.Second // one call
)

// peer is the API server's answer about an address of another node.
type peer struct {
	pod   *pod   // its one owner, else nil
	many  bool   // it has several
	node  string // the node whose address it is, else ""
	asked int64  // everything up to this time is known
}

// peers asks the API server for the pods that have an address.
type peers struct {
	client rest.Interface
	strip  func(*corev1.Pod) *pod
	now    func() int64 // wall clock
	log    *slog.Logger
	count  func(result string)
}

func newPeers(cfg *Config, p peers, m *metrics, steady func() int64) *lookupCache[peer] {
	a := &lookupCache[peer]{
		ask:     p.ask,
		timeout: peerWithin,
		limiter: rate.NewLimiter(rate.Limit(cfg.PeerQPS), cfg.PeerBurst),
		refused: m.peers.WithLabelValues("refused").Inc,
		now:     steady,
	}
	a.init()
	return a
}

// ask lists the pods that have addr as their first address; the API server
// cannot select by the others. The list is a consistent one: it knows all that
// was written before it was asked for.
func (p *peers) ask(ctx context.Context, addr netip.Addr) (peer, time.Duration) {
	asked := p.now()
	options := metav1.ListOptions{FieldSelector: "status.podIP=" + addr.String() +
		",status.phase!=Succeeded,status.phase!=Failed"}
	var pods corev1.PodList
	err := p.client.Get().Resource("pods").VersionedParams(&options, metav1.ParameterCodec).Do(ctx).Into(&pods)
	if err != nil {
		p.failed(addr, err)
		return peer{asked: asked}, peerFailed
	}
	found := p.among(addr, pods.Items)
	found.asked = asked
	switch {
	case found.pod != nil || found.many:
		p.count("found")
		return found, peerAgain
	case found.node != "":
		p.count("node")
		return found, peerNode
	}
	p.count("none")
	return found, peerNobody
}

func (p *peers) failed(addr netip.Addr, err error) {
	p.count("error")
	level := slog.LevelDebug
	if apierrors.IsForbidden(err) {
		level = slog.LevelWarn
	}
	p.log.Log(context.Background(), level, "cannot look up the pod of an address", "address", addr.String(), "error", err)
}

// among finds the owner of addr among the pods that have it. Pods on the
// host's network show whose node it is.
func (p *peers) among(addr netip.Addr, items []corev1.Pod) peer {
	var found peer
	for i := range items {
		o := &items[i]
		if o.Spec.HostNetwork {
			found.node = o.Spec.NodeName
			continue
		}
		stripped := p.strip(o)
		if !stripped.has(addr) || stripped.finished != 0 {
			continue
		}
		if found.pod != nil {
			found.many = true
		}
		found.pod = stripped
	}
	if found.many {
		found.pod = nil
	}
	return found
}

// judge says what the answer is worth for a packet seen at the time at. until
// is how long the answer is good by the steady clock, which shows now; skew is how
// far the wall clocks may be apart.
func (p *peer) judge(at, until, now, skew int64) ownerState {
	nothing := p.pod == nil && !p.many
	switch {
	case at > p.asked && (now >= until || !nothing):
		return ownerPending
	case nothing:
		return ownerNone
	case p.many || p.pod.from+skew > at: // before, a pod that is gone may have had it
		return ownerAmbiguous
	}
	return ownerFound
}
