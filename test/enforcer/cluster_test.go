package enforcer

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// cluster is a node with pods of several namespaces, kube-router and the agent.
type cluster struct {
	*system.System
	ctx    context.Context //nolint:containedctx // a cluster belongs to one test, and so does its deadline
	node   *netlab.Node
	agent  *agent.Agent
	labels map[string]map[string]string // labels of the namespaces
	ends   []end
	held   []*networkingv1.NetworkPolicy // the policies as the API server has them
	rounds int
	probes uint16 // number of probes sent so far
}

const nodeName = "node-1"

var nodeAddress = netip.MustParseAddr("10.20.0.1")

// end is a pod or the outside host, with its place in the lab.
type end struct {
	policy.End
	at *netlab.Namespace
	in int // a socket that sees all arriving packets
}

// The pods, as "namespace/name key=value,…", and the named ports that all of them have.
var (
	pods = []string{
		"shop/front app=front,tier=web", "shop/api app=api,tier=back", "shop/db app=db,tier=back",
		"metrics/grafana app=grafana,tier=web", "metrics/prom app=prom", "shop/canary app=canary",
	}
	ports = []corev1.ContainerPort{
		{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP},
		{Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP},
	}
)

func newCluster(t *testing.T) *cluster {
	t.Helper()
	system.Need(t, "iptables", "ipset")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	c := &cluster{System: shared.Get(t), ctx: ctx, labels: map[string]map[string]string{}}
	var err error
	if c.node, err = c.Lab.NewNode(nodeName, nodeAddress); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, c.node.Close()) })
	system.Must(t, c.ControlPlane.CreateNode(ctx, nodeName, nodeAddress))
	for _, name := range []string{"shop", "metrics"} {
		system.Must(t, c.ControlPlane.CreateNamespace(ctx, name))
		ns, err := c.ControlPlane.Client().CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		system.Must(t, err)
		ns.Labels["team"] = name[:1]
		ns, err = c.ControlPlane.Client().CoreV1().Namespaces().Update(ctx, ns, metav1.UpdateOptions{})
		system.Must(t, err)
		c.labels[name] = ns.Labels
	}
	for i, text := range pods {
		name, labels, _ := strings.Cut(text, " ")
		c.addPod(t, name, resolve.LabelSet(labels), netip.AddrFrom4([4]byte{10, 20, 1, byte(10 + i)}))
	}
	c.attach(t, policy.End{Kind: policy.Outside, Name: "outside", Addr: netip.MustParseAddr("203.0.113.10")})
	c.startRouter(t)
	c.agent, err = agent.Start(agent.Config{
		Binary: agentBinary, Node: c.node.Namespace, NodeName: nodeName, Kubeconfig: c.Kubeconfig, Args: []string{"--flow-window", "100ms"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		system.Must(t, c.agent.Kill())
		if t.Failed() {
			t.Logf("the agent's log:\n%s", c.agent.Log())
		}
	})
	system.Must(t, c.agent.WaitReady(ctx))
	return c
}

func (c *cluster) addPod(t *testing.T, key string, labels resolve.LabelSet, address netip.Addr) {
	t.Helper()
	namespace, name, _ := strings.Cut(key, "/")
	made, err := c.ControlPlane.CreatePod(c.ctx, controlplane.Pod{
		Namespace: namespace, Name: name, Node: nodeName, HostAddress: nodeAddress, Addresses: []netip.Addr{address},
		Labels: labels.Set(), Ports: ports,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.attach(t, policy.End{
		Kind: policy.Pod, Namespace: namespace, Name: name, Addr: address, Labels: made.Labels, Ports: resolve.PortsOf(made), NodeName: nodeName,
	})
}

func (c *cluster) attach(t *testing.T, e policy.End) {
	t.Helper()
	at, err := c.node.Attach(e.Name, e.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, at.Close()) })
	c.ends = append(c.ends, end{e, at, listen(t, at)})
}

// startRouter runs kube-router only as a firewall, and waits for the rules of the pods.
func (c *cluster) startRouter(t *testing.T) {
	t.Helper()
	cmd := exec.Command(routerBin, "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
		"--hostname-override="+nodeName, "--kubeconfig="+c.ControlPlane.Kubeconfig(), "--service-cluster-ip-range=10.0.0.0/24")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	system.Must(t, c.node.Start(cmd))
	t.Cleanup(func() {
		system.Must(t, cmd.Process.Kill())
		_ = cmd.Wait() // the error is ignored: the process was killed
		if t.Failed() {
			t.Logf("kube-router's log:\n%s", log.String())
		}
	})
}

// apply replaces all policies, and waits until kube-router enforces them. The last policy
// selects the canary, and apply waits for the canary's rules.
func (c *cluster) apply(t *testing.T, policies ...*networkingv1.NetworkPolicy) {
	t.Helper()
	for _, p := range c.held {
		system.Must(t, c.ControlPlane.Client().NetworkingV1().NetworkPolicies(p.Namespace).Delete(c.ctx, p.Name, metav1.DeleteOptions{}))
	}
	c.held = nil
	c.rounds++
	canary := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("canary-%d-end", c.rounds)}}
	canary.Spec.PodSelector.MatchLabels = map[string]string{"app": "canary"}
	for _, p := range append(policies, canary) {
		made, err := c.ControlPlane.Client().NetworkingV1().NetworkPolicies(p.Namespace).Create(c.ctx, p, metav1.CreateOptions{})
		if err != nil {
			text, _ := yaml.Marshal(p) // for error messages
			t.Fatalf("%v\n%s", err, text)
		}
		c.held = append(c.held, made)
	}
	c.await(t, func() error {
		rules, err := c.node.Command(c.ctx, "iptables-save", "-t", "filter")
		if err == nil && !strings.Contains(rules, canary.Name) {
			err = fmt.Errorf("kube-router has no rules for %s", canary.Name)
		}
		return err
	})
}

// set returns the policies as package policy sees them.
func (c *cluster) set(t *testing.T) *policy.Set {
	t.Helper()
	s := policy.NewSet(nil)
	for name, labels := range c.labels {
		s.PutNamespace(name, labels)
	}
	for _, p := range c.held {
		r, err := policy.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		s.Put(r)
	}
	return s
}

func (c *cluster) end(t *testing.T, name string) *end {
	t.Helper()
	for i := range c.ends {
		if c.ends[i].Name == name {
			return &c.ends[i]
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// await waits until f returns no error.
func (c *cluster) await(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still after %v: %v", patience, err)
		case <-tick.C:
		}
	}
}
