// Package nflog tests the package of that name against a real kernel, with
// go-nflog's own hook as the reference.
package nflog

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// missing is what this machine does not allow; nil where it allows everything.
var missing error

func TestMain(m *testing.M) {
	code, err := netlab.Run(func() error { return nil }, m.Run)
	if errors.As(err, new(*netlab.UnsupportedError)) {
		missing, err = err, nil
		code = m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// newNamespace returns a namespace of the test's own, or skips the test where
// the machine cannot have it; in CI that is a failure.
func newNamespace(t *testing.T) *netlab.Namespace {
	t.Helper()
	err := missing
	var ns *netlab.Namespace
	if err == nil {
		ns, err = netlab.NewNamespace(t.Name())
	}
	switch {
	case err == nil:
		t.Cleanup(func() {
			if err := ns.Close(); err != nil {
				t.Error(err)
			}
		})
		return ns
	case errors.As(err, new(*netlab.UnsupportedError)) && os.Getenv("CI") == "":
		t.Skip(err)
	}
	t.Fatal(err)
	return nil
}
