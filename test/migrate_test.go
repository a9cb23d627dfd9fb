package test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// serviceAccount writes the agent's token and the cluster's CA to the directory in which a
// pod has them. Only the lab sees this directory. It returns the environment of a pod.
func (s *scene) serviceAccount(t *testing.T) []string {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	api, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	ca := cfg.CAData
	if len(ca) == 0 {
		if ca, err = os.ReadFile(cfg.CAFile); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(netlab.Scratch, "secrets/kubernetes.io/serviceaccount") // /var/run is /run
	system.Must(t, os.MkdirAll(dir, 0o755))
	system.Must(t, os.WriteFile(filepath.Join(dir, "token"), []byte(cfg.BearerToken), 0o600))
	system.Must(t, os.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o600))
	t.Cleanup(func() { system.Must(t, os.RemoveAll(dir)) })
	return []string{"KUBERNETES_SERVICE_HOST=" + api.Hostname(), "KUBERNETES_SERVICE_PORT=" + api.Port()}
}

// TestMigrate runs the agent with only the variables of kube-iptables-tailer's DaemonSet, and
// with the rule that replaces its LOG rule in docs/migrating.md.
func TestMigrate(t *testing.T) {
	system.Need(t, "iptables")
	s := newScene(t)
	for _, prefix := range []string{"calico-drop: ", "other: "} {
		port := map[string]string{"calico-drop: ": "8080", "other: ": "9999"}[prefix]
		s.run(t, "iptables", "-A", "FORWARD", "-p", "tcp", "--dport", port, "-j", "NFLOG", "--nflog-group", "100", "--nflog-prefix", prefix)
		s.run(t, "iptables", "-A", "FORWARD", "-p", "tcp", "--dport", port, "-j", "DROP")
	}
	env := append(s.serviceAccount(t),
		"IPTABLES_LOG_PATH=/var/log/iptables.log", "IPTABLES_LOG_PREFIX=calico-drop:",
		"KUBE_EVENT_DISPLAY_REASON=TrafficDenied", "KUBE_EVENT_SOURCE_COMPONENT_NAME=kube-iptables-tailer",
		"METRICS_SERVER_PORT=9191", "POD_IDENTIFIER=namespace", "LOG_LEVEL=INFO",
		"PACKET_DROP_CHANNEL_BUFFER_SIZE=100", "PACKET_DROP_EXPIRATION_MINUTES=10", "WATCH_LOGS_INTERVAL_SECONDS=5",
		"REPEATED_EVENTS_INTERVAL_MINUTES=2",
		"KUBE_NFLOG_TAILER_METRIC=true", // the only variable of kube-nflog
	)
	a := s.start(t, agent.Config{Bare: true, Listen: "127.0.0.1:9191", Env: env})
	system.Must(t, a.WaitReady(s.ctx))

	for _, port := range []uint16{8080, 9999} {
		p := netlab.Packet{Source: s.client.v4, Destination: s.server.v4, Protocol: netlab.TCP, DestinationPort: port}
		system.Must(t, s.client.Send(p, 3))
	}
	s.awaitReceived(t, a, 6)
	host, err := os.Hostname() // the node's name, as with hostNetwork
	system.Must(t, err)
	host = strings.ToLower(host)
	denied := func(traffic string) event {
		return event{"Warning", "TrafficDenied", "kube-iptables-tailer", host, 3, "Packet dropped when " + traffic + ` on port 8080/TCP (NFLOG prefix "calico-drop: "): ` +
			`no NetworkPolicy selects either pod; rule "calico-drop: " on node ` + host + " denies this."}
	}
	s.awaitEvents(t, "server", denied("receiving traffic from "+s.namespace+" ("+s.client.v4.String()+")"))
	s.awaitEvents(t, "client", denied("sending traffic to "+s.namespace+" ("+s.server.v4.String()+")"))
	s.awaitMetric(t, a, 3, "packet_drops_count", "src", s.namespace, "dst", s.namespace)
	s.awaitMetric(t, a, 3, "kube_nflog_packets_ignored_total")
	if !strings.Contains(a.Log(), "REPEATED_EVENTS_INTERVAL_MINUTES") {
		t.Errorf("nothing is said of the variable that is not used:\n%s", a.Log())
	}
	system.Must(t, a.Stop(s.ctx))
}
