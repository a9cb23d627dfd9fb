package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

const (
	nodeName  = "node-1"
	namespace = "shop"
	frontend  = "frontend"
	api       = "api"
	outside   = "outside"
)

// host is an end of the traffic, with its addresses.
type host struct {
	*netlab.Namespace
	v4, v6 netip.Addr
}

// addresses returns the addresses of a host, IPv4 first. Pods have addresses as in a usual
// cluster. The outside host has addresses that are reserved for documentation.
func addresses(name string) []netip.Addr {
	texts := map[string][2]string{
		nodeName: {"10.0.0.11", "fd00:0:0:1::11"},
		frontend: {"10.244.1.5", "fd00:0:0:244::5"},
		api:      {"10.244.1.7", "fd00:0:0:244::7"},
		outside:  {"203.0.113.10", "2001:db8::10"},
	}[name]
	return []netip.Addr{netip.MustParseAddr(texts[0]), netip.MustParseAddr(texts[1])}
}

// network is the network of the demo. All hosts are attached to the node.
type network struct {
	node                   *netlab.Node
	frontend, api, outside host
}

func (d *demo) network() (*network, error) {
	end := d.progress.step("making network namespaces: node-1, pods shop/frontend and shop/api, an outside host")
	defer end()
	lab, err := netlab.NewLab()
	if err != nil {
		return nil, err
	}
	n := &network{}
	if n.node, err = lab.NewNode(nodeName, addresses(nodeName)...); err != nil {
		return nil, err
	}
	for name, h := range map[string]*host{frontend: &n.frontend, api: &n.api, outside: &n.outside} {
		a := addresses(name)
		h.v4, h.v6 = a[0], a[1]
		if h.Namespace, err = n.node.Attach(name, h.v4, h.v6); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (d *demo) startControlPlane(ctx context.Context) (*controlplane.ControlPlane, error) {
	end := d.progress.step("starting etcd and kube-apiserver")
	defer end()
	binaries, err := controlplane.Locate(d.controlPlaneDir())
	if err != nil {
		return nil, err
	}
	return controlplane.Start(ctx, controlplane.Config{
		Binaries: binaries, Dir: netlab.Scratch, Address: netlab.ControlAddress(),
	})
}

// createObjects creates the objects in the API and returns the agent's kubeconfig.
func (d *demo) createObjects(ctx context.Context, cp *controlplane.ControlPlane) (string, error) {
	end := d.progress.step("kubectl apply -k deploy/; creating node-1, the pods and NetworkPolicies")
	defer end()
	account, err := cp.InstallAgent(ctx, filepath.Join(d.root, "deploy"))
	if err != nil {
		return "", err
	}
	if err := cp.CreateNode(ctx, nodeName, addresses(nodeName)...); err != nil {
		return "", err
	}
	if err := cp.CreateNamespace(ctx, namespace); err != nil {
		return "", err
	}
	for _, name := range []string{frontend, api} {
		pod := controlplane.Pod{Namespace: namespace, Name: name, Node: nodeName, Addresses: addresses(name), Labels: map[string]string{"app": name}}
		if _, err := cp.CreatePod(ctx, pod); err != nil {
			return "", err
		}
	}
	if err := d.apply(ctx, cp, "policies.yaml", policies); err != nil {
		return "", err
	}
	d.progress.say("requesting a token of ServiceAccount %s for the agent", account)
	return cp.ServiceAccountKubeconfig(ctx, account)
}

func (d *demo) startAgent(ctx context.Context, n *network, kubeconfig string) (*agent.Agent, error) {
	end := d.progress.step(fmt.Sprintf("starting in node-1: kube-nflog run --node-name %s --group %d --output json --kubeconfig …", nodeName, group))
	defer end()
	a, err := agent.Start(agent.Config{
		Binary: d.agentBinary(), Node: n.node.Namespace, NodeName: nodeName,
		Kubeconfig: kubeconfig, Groups: []uint16{group},
	})
	if err != nil {
		return nil, err
	}
	if err := a.WaitReady(ctx); err != nil {
		return nil, errors.Join(err, a.Kill())
	}
	return a, nil
}

func (d *demo) stop(what string, f func() error) error {
	end := d.progress.step("stopping " + what)
	defer end()
	return f()
}
