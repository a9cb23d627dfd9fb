// Package nflog tests package nflog with a real kernel. go-nflog's hook is the reference.
package nflog

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// missing is the reason why this machine cannot have namespaces, nil if it can.
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

// newNamespace returns a namespace for the test. If the machine cannot have it, it skips
// the test, or fails it in CI.
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
