package event

import (
	"fmt"
	"strings"
)

// maxNamed bounds the pods that an unwrittenError names.
const maxNamed = 5

// unwrittenError says what Flush could not write by its deadline.
type unwrittenError struct {
	Events  int      // event objects concerned
	Packets uint64   // that they lack
	Pods    []string // the first few of the objects concerned, "namespace/name"
	Cause   error    // why it ended, nil when all that is left was refused
}

func (u *unwrittenError) add(r *eventEntry) {
	u.Events++
	u.Packets += r.pending()
	key := &r.involvedObject.key
	if name := key.eventNamespace() + "/" + key.name; len(u.Pods) < maxNamed {
		u.Pods = append(u.Pods, name)
	}
}

// Error says how much was not written, where and why.
func (u *unwrittenError) Error() string {
	text := fmt.Sprintf("event: %d events with %d packets not written (%s", u.Events, u.Packets, strings.Join(u.Pods, ", "))
	if u.Events > len(u.Pods) {
		text += ", …"
	}
	text += ")"
	if u.Cause != nil {
		text += ": " + u.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (u *unwrittenError) Unwrap() error { return u.Cause }
