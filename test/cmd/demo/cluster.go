package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/kube-nflog/kube-nflog/test/agent"
	"github.com/kube-nflog/kube-nflog/test/controlplane"
	"github.com/kube-nflog/kube-nflog/test/netlab"
)

const (
	nodeName  = "node-1"
	namespace = "shop"
	frontend  = "frontend"
	api       = "api"
)

// host is an end of the traffic with its addresses.
type host struct {
	*netlab.Namespace
	v4, v6 netip.Addr
}

// The addresses of pods are those of a usual cluster; the outside host's are
// set aside for documentation.
var addresses = map[string][2]netip.Addr{
	nodeName:  {netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("fd00:0:0:1::11")},
	frontend:  {netip.MustParseAddr("10.244.1.5"), netip.MustParseAddr("fd00:0:0:244::5")},
	api:       {netip.MustParseAddr("10.244.1.7"), netip.MustParseAddr("fd00:0:0:244::7")},
	"outside": {netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")},
}

// network is the demo's: everything is attached to the node.
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
	a := addresses[nodeName]
	if n.node, err = lab.NewNode(nodeName, a[0], a[1]); err != nil {
		return nil, err
	}
	for name, h := range map[string]*host{frontend: &n.frontend, api: &n.api, "outside": &n.outside} {
		h.v4, h.v6 = addresses[name][0], addresses[name][1]
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
		Binaries: binaries, Dir: netlab.Scratch, Address: netlab.ControlAddress,
	})
}

// createObjects fills the API and returns the agent's kubeconfig.
func (d *demo) createObjects(ctx context.Context, cp *controlplane.ControlPlane) (string, error) {
	end := d.progress.step("kubectl apply -k deploy/; creating node-1 and the pods")
	defer end()
	account, err := cp.InstallAgent(ctx, filepath.Join(d.root, "deploy"))
	if err != nil {
		return "", err
	}
	node := addresses[nodeName]
	if err := cp.CreateNode(ctx, nodeName, node[:]...); err != nil {
		return "", err
	}
	if err := cp.CreateNamespace(ctx, namespace); err != nil {
		return "", err
	}
	for _, name := range []string{frontend, api} {
		a := addresses[name]
		pod := controlplane.Pod{Namespace: namespace, Name: name, Node: nodeName, Addresses: a[:]}
		if _, err := cp.CreatePod(ctx, pod); err != nil {
			return "", err
		}
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
	return a, a.WaitReady(ctx)
}

func (d *demo) stop(what string, f func() error) error {
	end := d.progress.step("stopping " + what)
	defer end()
	return f()
}
