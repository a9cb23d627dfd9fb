package groups

import (
	"errors"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nltest"
	"golang.org/x/sys/unix"
)

// TestSupported simulates a kernel without NFLOG, because no such kernel is available.
// TestDoctorKernel in test/operate uses the real one.
func TestSupported(t *testing.T) {
	tests := []struct {
		name   string
		answer unix.Errno
		want   bool
		err    error
	}{
		{"NFLOG, and no such group of ours", unix.ENODEV, true, nil},
		{"no NFLOG", unix.EINVAL, false, nil},
		{"no capability, or a group of another's", unix.EPERM, false, unix.EPERM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := nltest.Dial(func(asked []netlink.Message) ([]netlink.Message, error) {
				return nltest.Error(int(tt.answer), asked)
			})
			defer func() { _ = conn.Close() }()
			got, err := supported(conn)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%v, %v, want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}
