package resolve

import (
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is all that is kept of a pod: in the informer's store and in the index,
// which share it. It has one allocation for all its own text; what pods share
// (node, workload) is interned. Every field costs 150,000 times its size in a
// large cluster: think before adding one.
//
// The index sets from and ready before it publishes the pod. After that a pod never
// changes, but for from when the wall clock steps: only the index reads that, under
// its lock.
type pod struct {
	// text is namespace/name, UID, event UID where it differs, and label
	// identifier, back to back; the lengths below cut it.
	text     string
	workload unique.Handle[string] // "shop/Deployment/frontend" or ""
	node     unique.Handle[string]
	traits   unique.Handle[traits] // zero where nobody asks for them
	from     int64                 // start of ownership, Unix nanoseconds; 0 not stamped
	finished uint32                // end of its containers, Unix seconds; 0 not yet

	keyLen                                      uint16
	namespaceLen, uidLen, eventUIDLen, labelLen uint8

	ready       bool // from is when its network became ready
	terminating bool // it is being deleted, and has its addresses until then
	announces   bool // addr and more are what its annotation says, not its status
	returned    bool // it had addr and more: the annotation says that they are given back
	events      wish
	cuts        cuts // lists of the object that were too long

	version uint64        // the resource version
	addr    netip.Addr    // invalid before it has one, and on the host's network
	more    *[]netip.Addr // the other families' addresses, nil for none
}

// addrs yields the pod's addresses, as its status has them.
func (p *pod) addrs() iter.Seq[netip.Addr] { return p.addrsIf(!p.announces && !p.returned) }

// claimed yields the addresses that its status has, also those that it says it has
// given back.
func (p *pod) claimed() iter.Seq[netip.Addr] { return p.addrsIf(!p.announces) }

// announced yields the addresses that the annotation alone says it has.
func (p *pod) announced() iter.Seq[netip.Addr] { return p.addrsIf(p.announces) }

func (p *pod) addrsIf(yes bool) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		if !yes || !p.addr.IsValid() || !yield(p.addr) || p.more == nil {
			return
		}
		for _, addr := range *p.more {
			if !yield(addr) {
				return
			}
		}
	}
}

func (p *pod) keepAddrs(addrs []netip.Addr) {
	if len(addrs) > 0 {
		p.addr = addrs[0]
	}
	if len(addrs) > 1 {
		more := slices.Clone(addrs[1:])
		p.more = &more
	}
}

// has reports whether it has the address, by its status.
func (p *pod) has(addr netip.Addr) bool { return !p.returned && p.holds(addr) }

// holds is has for one that it says it has given back, too.
func (p *pod) holds(addr netip.Addr) bool {
	return !p.announces && (p.addr == addr || p.more != nil && slices.Contains(*p.more, addr))
}

func (p *pod) cutLists() cuts { return p.cuts }

func sameAddrs(a, b *pod) bool {
	return slices.Equal(slices.Collect(a.addrs()), slices.Collect(b.addrs()))
}

// finishedAt is when its containers ended, in Unix nanoseconds.
func (p *pod) finishedAt() int64 { return int64(p.finished) * int64(time.Second) }

// key is "namespace/name", as the informer's store knows it.
func (p *pod) key() string { return p.text[:p.keyLen] }

func (p *pod) namespace() string { return p.text[:p.namespaceLen] }

func (p *pod) name() string { return p.text[int(p.namespaceLen)+1 : p.keyLen] }

func (p *pod) uid() string {
	start := int(p.keyLen)
	return p.text[start : start+int(p.uidLen)]
}

// eventUID is the value that kubectl describe selects a pod's events by.
func (p *pod) eventUID() string {
	if p.eventUIDLen == 0 {
		return p.uid()
	}
	start := int(p.keyLen) + int(p.uidLen)
	return p.text[start : start+int(p.eventUIDLen)]
}

func (p *pod) label() string { return p.text[len(p.text)-int(p.labelLen):] }

// workloadName is "Deployment/frontend", or "".
func (p *pod) workloadName() string {
	w := p.workload.Value()
	if w == "" {
		return ""
	}
	return w[int(p.namespaceLen)+1:]
}

// identifier names the pod as kind says, for messages.
func (p *pod) identifier(kind IdentifierKind) string {
	switch kind {
	case NameOnly:
		return p.name()
	case NamespaceOnly:
		return p.namespace()
	case LabelValue:
		if p.labelLen > 0 {
			return p.label()
		}
	case WorkloadName:
		if w := p.workload.Value(); w != "" {
			return w
		}
	}
	return p.key()
}

// GetObjectMeta gives client-go what it asks of the objects in its store: the
// key and the version. The key goes as the name of an object without
// namespace, because then the store's key is this very string and not another
// copy of it.
func (p *pod) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{
		Name:            p.key(),
		UID:             types.UID(p.uid()),
		ResourceVersion: strconv.FormatUint(p.version, 10),
	}
}
