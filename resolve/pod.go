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

// pod holds everything that is kept of a pod. The informer's store and the index share it.
// Its own text is one allocation. Strings that pods share (node, workload) are interned. In
// a large cluster each field costs 150,000 times its size.
//
// The index sets from and ready before it publishes the pod. After that a pod never
// changes, except for from when the wall clock steps: only the index reads that, under its
// lock.
type pod struct {
	// text is namespace/name, UID, event UID if it differs, and label identifier, one after
	// the other. The lengths below separate them.
	text      string
	workload  unique.Handle[string] // "shop/Deployment/frontend" or ""
	node      unique.Handle[string]
	podLabels unique.Handle[podLabels] // zero if nobody needs them
	from      int64                    // start of ownership, Unix nanoseconds; 0 if it is not set yet
	finished  uint32                   // end of its containers, Unix seconds; 0 if they have not ended

	keyLen                                      uint16
	namespaceLen, uidLen, eventUIDLen, labelLen uint8

	ready       bool // from is the time when its network became ready
	terminating bool // it is being deleted, and keeps its addresses until then
	announces   bool // addr and more come from its annotation, not from its status
	returned    bool // it had addr and more; by the annotation it has given them back
	events      wish
	cuts        cuts // lists of the object that were too long

	version uint64        // the resource version
	addr    netip.Addr    // invalid if it has none yet, or is on the host's network
	more    *[]netip.Addr // the other addresses, nil for none
}

// addrs yields the addresses in the pod's status.
func (p *pod) addrs() iter.Seq[netip.Addr] { return p.addrsIf(!p.announces && !p.returned) }

// claimed yields the addresses in the pod's status, including those that it has given back
// by its annotation.
func (p *pod) claimed() iter.Seq[netip.Addr] { return p.addrsIf(!p.announces) }

// announced yields the addresses that the pod has only by its annotation.
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

// has reports whether the pod has the address by its status.
func (p *pod) has(addr netip.Addr) bool { return !p.returned && p.holds(addr) }

// holds is like has, and includes an address that the pod has given back by its annotation.
func (p *pod) holds(addr netip.Addr) bool {
	return !p.announces && (p.addr == addr || p.more != nil && slices.Contains(*p.more, addr))
}

func (p *pod) cutLists() cuts { return p.cuts }

func sameAddrs(a, b *pod) bool {
	return slices.Equal(slices.Collect(a.addrs()), slices.Collect(b.addrs()))
}

// finishedAt returns when its containers ended, in Unix nanoseconds.
func (p *pod) finishedAt() int64 { return int64(p.finished) * int64(time.Second) }

// key returns "namespace/name", the key in the informer's store.
func (p *pod) key() string { return p.text[:p.keyLen] }

func (p *pod) namespace() string { return p.text[:p.namespaceLen] }

func (p *pod) name() string { return p.text[int(p.namespaceLen)+1 : p.keyLen] }

func (p *pod) uid() string {
	start := int(p.keyLen)
	return p.text[start : start+int(p.uidLen)]
}

// eventUID returns the value by which kubectl describe selects a pod's events.
func (p *pod) eventUID() string {
	if p.eventUIDLen == 0 {
		return p.uid()
	}
	start := int(p.keyLen) + int(p.uidLen)
	return p.text[start : start+int(p.eventUIDLen)]
}

func (p *pod) label() string { return p.text[len(p.text)-int(p.labelLen):] }

// workloadName returns "Deployment/frontend", or "".
func (p *pod) workloadName() string {
	w := p.workload.Value()
	if w == "" {
		return ""
	}
	return w[int(p.namespaceLen)+1:]
}

// identifier returns the pod's text for messages, by kind.
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

// GetObjectMeta returns what client-go needs of the objects in its store: the key and the
// version. The key is the name of an object without namespace, because then the store uses
// this string and makes no copy.
func (p *pod) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{
		Name:            p.key(),
		UID:             types.UID(p.uid()),
		ResourceVersion: strconv.FormatUint(p.version, 10),
	}
}
