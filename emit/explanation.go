package emit

// Explanation is what is known of a flow besides its ends. The zero value says
// nothing.
type Explanation struct {
	// Why says why the flow was dropped, in words that go on a sentence: "denied
	// by NetworkPolicy shop/api"; "" where it is not known. It may name what only
	// the platform may know: JSON lines have it, events with Config.NamespaceOnly
	// have the views below instead.
	Why string
	// Policies are those that denied the flow, "namespace/name". JSON lines alone
	// have them.
	Policies []string
	// Source, Destination and Node are what the events on the source's pod, on
	// the destination's pod and on the node may say, with Config.NamespaceOnly.
	Source, Destination, Node View
	// AtLeast says that a rule which logs such packets has a limit, so that there
	// may have been more than were counted. Limit is that limit, such as
	// "10/minute"; "" where only its existence is known.
	AtLeast bool
	Limit   string
}

// View is what the owners of one end may read of why a flow was dropped.
type View struct {
	Why        string // as Explanation.Why
	HidePrefix bool   // the NFLOG prefix names what they may not know
}
