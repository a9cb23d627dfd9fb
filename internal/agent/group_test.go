//go:build linux

package agent

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/nflog"
)

// TestUnbound compares the reasons why a group is not bound. A port id must never be shown
// as a process.
func TestUnbound(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string // "" for bound
	}{
		{"bound", nil, ""},
		// Nobody owns the group any more: its owner has just ended.
		{
			"taken", &nflog.OpenError{Group: 65000, Owner: 1, Reason: nflog.ErrGroupTaken, Err: errors.New("EPERM")},
			"group 65000 is not bound: it is read by another process, and a group has one reader",
		},
		{"failed", errors.New("bad file descriptor"), "group 65000 is not bound: bad file descriptor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &receiver{group: 65000, reader: &fakeReader{err: tt.err}}
			err := r.unbound(time.Now())
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("unbound = %v, want %q", err, tt.want)
			}
		})
	}
}
