package nflog

import (
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// TestLinks follows a veth device from its creation to its end.
func TestLinks(t *testing.T) {
	ns := newNamespace(t)
	early := addVeth(t, ns, "early")
	links := runLinks(t, ns)
	for index, want := range map[uint32]string{0: "", 1: "lo", early: "early", 4711: "if4711"} {
		if got := links.Name(index); got != want {
			t.Errorf("interface %d is %q from the start, want %q", index, got, want)
		}
	}

	index := addVeth(t, ns, "made")
	awaitName(t, links, index, "made")
	change(t, ns, "made", func(l netlink.Link) error { return netlink.LinkSetName(l, "renamed") })
	awaitName(t, links, index, "renamed")
	change(t, ns, "renamed", netlink.LinkDel)
	awaitName(t, links, addVeth(t, ns, "after"), "after") // when this is known, the deletion is known too
	awaitName(t, links, index, "renamed")
}

// TestLinkComesBack moves an interface to another namespace, and back with another name, as
// happens when a pod's network is removed.
func TestLinkComesBack(t *testing.T) {
	ns, pod := newNamespace(t), newNamespace(t)
	links := runLinks(t, ns)
	index := addVeth(t, ns, "host")
	awaitName(t, links, index, "host")
	if err := ns.Move("host", pod); err != nil {
		t.Fatal(err)
	}
	awaitName(t, links, addVeth(t, ns, "after"), "after")
	awaitName(t, links, index, "host") // packets of the interface may still come

	change(t, pod, "host", func(l netlink.Link) error { return netlink.LinkSetName(l, "back") })
	if err := pod.Move("back", ns); err != nil {
		t.Fatal(err)
	}
	awaitName(t, links, indexOf(t, ns, "back"), "back")
}

// runLinks follows the namespace's interfaces until the test ends.
func runLinks(t *testing.T, ns *netlab.Namespace) *nflog.Links {
	t.Helper()
	var links *nflog.Links
	err := ns.Do(func() (err error) {
		links, err = nflog.OpenLinks()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- links.Run() }()
	t.Cleanup(func() {
		closed := links.Close()
		select {
		case err := <-ended:
			if err := errors.Join(err, closed); err != nil {
				t.Errorf("Run and Close: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run goes on after Close")
		}
	})
	return links
}

// awaitName waits until an interface has the name.
func awaitName(t *testing.T, links *nflog.Links, index uint32, want string) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for links.Name(index) != want {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("interface %d is %q, want %q", index, links.Name(index), want)
		}
	}
}

// addVeth creates a pair of interfaces and returns the index of the named one.
func addVeth(t *testing.T, ns *netlab.Namespace, name string) uint32 {
	t.Helper()
	err := ns.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-peer"})
	})
	if err != nil {
		t.Fatal(err)
	}
	return indexOf(t, ns, name)
}

func indexOf(t *testing.T, ns *netlab.Namespace, name string) (index uint32) {
	t.Helper()
	change(t, ns, name, func(l netlink.Link) error {
		index = uint32(l.Attrs().Index)
		return nil
	})
	return index
}

// change calls do with an interface.
func change(t *testing.T, ns *netlab.Namespace, name string, do func(netlink.Link) error) {
	t.Helper()
	err := ns.Do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return do(link)
	})
	if err != nil {
		t.Fatal(err)
	}
}
