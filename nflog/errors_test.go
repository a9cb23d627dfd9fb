package nflog

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestFindOwner(t *testing.T) {
	table := "    0      0     0 0     0      0  1\n  100  24419     0 2   128     10  1\n65535 4294967295    0 1 65535    100  2\n"
	tests := []struct {
		group uint16
		owner uint32
		ok    bool
	}{{100, 24419, true}, {65535, 4294967295, true}, {0, 0, true}, {10, 0, false}}
	for _, tt := range tests {
		owner, ok := findOwner(strings.NewReader(table), tt.group)
		if owner != tt.owner || ok != tt.ok {
			t.Errorf("group %d: %d, %v, want %d, %v", tt.group, owner, ok, tt.owner, tt.ok)
		}
	}
}

func TestOpenErrorSaysWhatToDo(t *testing.T) {
	tests := []struct {
		err  OpenError
		want []string
	}{
		{OpenError{Group: 7, Owner: 42, Reason: ErrGroupTaken, Err: unix.EPERM}, []string{"group 7", "another process", "another group"}},
		{OpenError{Group: 7, Reason: errPermission, Err: unix.EPERM}, []string{"group 7", "CAP_NET_ADMIN"}},
		{OpenError{Group: 7, Reason: errUnsupported, Err: unix.EPROTONOSUPPORT}, []string{"group 7", "modprobe nfnetlink_log"}},
		{OpenError{Group: 7, Err: unix.ENOMEM}, []string{"group 7", "cannot allocate memory"}},
	}
	for _, tt := range tests {
		for _, want := range tt.want {
			if !strings.Contains(tt.err.Error(), want) {
				t.Errorf("%q does not say %q", tt.err.Error(), want)
			}
		}
		if !errors.Is(&tt.err, tt.err.Err) || tt.err.Reason != nil && !errors.Is(&tt.err, tt.err.Reason) {
			t.Errorf("%q does not wrap its causes", tt.err.Error())
		}
	}
}
