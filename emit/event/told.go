package event

import "github.com/kube-nflog/kube-nflog/emit"

// told is an emit.Explanation as one event has it.
type told struct {
	emit.View

	atLeast bool
	limit   string
}

// toldOf returns what an event may say, whose view is v.
func toldOf(x *emit.Explanation, namespaceOnly bool, v *emit.View) told {
	t := told{View: emit.View{Why: x.Why}, atLeast: x.AtLeast, limit: x.Limit}
	if namespaceOnly {
		t.View = *v
	}
	return t
}
