package emit_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/test/controlplane"
)

// TestFairness applies deploy/fairness and asks the API server where it puts
// the agent's writes.
func TestFairness(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	if _, err := c.Kubectl(t.Context(), "apply", "-k", "../../deploy/fairness"); err != nil {
		t.Fatal(err)
	}
	e := start(t, c.client(t, ""), emit.Config{})
	peer, n := external("203.0.113.9"), 0
	eventually(t, 20*time.Second, func() bool { // the API server follows by a watch
		self := c.pod(t, "shop", podName(n), fmt.Sprintf("10.0.2.%d", 1+n))
		n++
		e.Add(tcp(peer, self, 80, 1), peer, self)
		metrics, err := c.Client().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(metrics),
			`apiserver_flowcontrol_dispatched_requests_total{flow_schema="kube-nflog-events",priority_level="kube-nflog-events"}`)
	}, func() string { return "no write went through the agents' own priority level" })
}
