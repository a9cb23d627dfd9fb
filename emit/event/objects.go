package event

import "container/list"

// objectTable holds the involved objects and their entries, and what each
// namespace has of them.
type objectTable struct {
	byKey   map[objectKey]*involvedObject
	shares  map[string]*namespaceShare // by namespace
	entries int                        // besides aggregates
}

// namespaceShare is what one namespace has of the table.
type namespaceShare struct {
	objects list.List // *involvedObject, the one that had no packet for longest first
	entries int       // besides aggregates
}

func newObjectTable() objectTable {
	return objectTable{byKey: map[objectKey]*involvedObject{}, shares: map[string]*namespaceShare{}}
}

// find returns the object of a key that has packets now, nil for none.
func (t *objectTable) find(key *objectKey) *involvedObject {
	o := t.byKey[*key]
	if o != nil {
		o.share.objects.MoveToBack(o.shareAt)
	}
	return o
}

// share returns what a namespace has, nil for nothing.
func (t *objectTable) share(namespace string) *namespaceShare { return t.shares[namespace] }

func (t *objectTable) add(o *involvedObject) {
	t.byKey[o.key] = o
	namespace := o.key.eventNamespace()
	share := t.shares[namespace]
	if share == nil {
		share = &namespaceShare{}
		t.shares[namespace] = share
	}
	o.share = share
	o.shareAt = share.objects.PushBack(o)
}

// attach adds an entry to its object.
func (t *objectTable) attach(e *eventEntry) {
	e.object.attach(e)
	if e.aggregate == nil {
		e.object.share.entries++
		t.entries++
	}
}

// detach removes an entry from its object, and the object with its last entry.
func (t *objectTable) detach(e *eventEntry) {
	o := e.object
	o.detach(e)
	if e.aggregate == nil {
		o.share.entries--
		t.entries--
	}
	if len(o.entries) > 0 {
		return
	}
	delete(t.byKey, o.key)
	o.share.objects.Remove(o.shareAt)
	if o.share.objects.Len() == 0 {
		delete(t.shares, o.key.eventNamespace())
	}
}

// largestShare returns the share of the namespace with most objects. There must
// be one.
func (t *objectTable) largestShare() *namespaceShare {
	var largest *namespaceShare
	for _, share := range t.shares {
		if largest == nil || share.objects.Len() > largest.objects.Len() {
			largest = share
		}
	}
	return largest
}
