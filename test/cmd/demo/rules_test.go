package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

func TestMain(m *testing.M) {
	code, err := netlab.Run(func() error { return nil }, m.Run)
	if errors.As(err, new(*netlab.UnsupportedError)) && os.Getenv("CI") == "" {
		fmt.Fprintln(os.Stderr, "SKIP:", err)
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// TestRules compares the rules that the demo adds over netlink with the rules that its
// printed nft commands add.
func TestRules(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	lab, err := netlab.NewLab()
	if err != nil {
		t.Fatal(err)
	}
	p := &progress{out: io.Discard}
	byNetlink, byCommands := newNode(t, lab, "netlink"), newNode(t, lab, "commands")
	if err := (&demo{progress: p}).addRules(byNetlink); err != nil {
		t.Fatal(err)
	}
	if out, err := byCommands.Command(t.Context(), "sh", "-ec", commands()); err != nil {
		t.Fatal(out, err)
	}
	want, got := list(t, byCommands), list(t, byNetlink)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("rules by the printed commands (-) and over netlink (+):\n%s", diff)
	}
	if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "group 100") }) {
		t.Errorf("no rule logs to group 100: %q", got)
	}
}

func newNode(t *testing.T, lab *netlab.Lab, name string) *netlab.Node {
	t.Helper()
	node, err := lab.NewNode(name)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func list(t *testing.T, node *netlab.Node) []string {
	t.Helper()
	out, err := node.Command(t.Context(), "nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(out, "\n")
}
