package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// onReal is the result with a real API server.
type onReal struct {
	Cluster measured `json:"clusterScope"`
	Node    measured `json:"nodeScope"`
	Scan    scanned  `json:"scan"`
}

// measureReal fills a real API server with pods. It measures both scopes and a scan, with
// the rights of deploy/.
func (o *options) measureReal(ctx context.Context) (*onReal, error) {
	bin, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: o.module, Dir: o.binaries})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kube-nflog-bench")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cp, err := controlplane.Start(ctx, controlplane.Config{Binaries: bin, Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { _ = cp.Stop() }()
	account, err := cp.InstallAgent(ctx, o.module+"/../deploy")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := cp.ServiceAccountKubeconfig(ctx, account)
	if err != nil {
		return nil, err
	}

	small := *o
	small.cluster.nodes = max(1, o.cluster.nodes*o.real/o.cluster.pods)
	small.cluster.pods = o.real
	if err := small.cluster.create(ctx, cp.Client()); err != nil {
		return nil, err
	}
	var f onReal
	for role, into := range map[string]*measured{"cluster": &f.Cluster, "node": &f.Node} {
		if err := small.inChild(ctx, into, role, "-kubeconfig", kubeconfig); err != nil {
			return nil, err
		}
	}
	f.Scan, err = small.scanReal(ctx, cp, kubeconfig)
	return &f, err
}

// create creates the cluster's pods in an API server.
func (c cluster) create(ctx context.Context, client *kubernetes.Clientset) error {
	for i := range min(300, c.pods/podsPerWorkload+1) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("team-%d", i)}}
		if _, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create namespace: %w", err)
		}
	}
	var group errgroup.Group
	group.SetLimit(32)
	var done atomic.Int32
	for i := range c.pods {
		group.Go(func() error {
			p := c.pod(i)
			p.UID, p.ResourceVersion, p.ManagedFields = "", "", nil
			made, err := client.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{})
			if err != nil {
				return fmt.Errorf("create pod: %w", err)
			}
			made.Status = p.Status
			if _, err := client.CoreV1().Pods(p.Namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
				return fmt.Errorf("set the status of a pod: %w", err)
			}
			if n := done.Add(1); n%2000 == 0 {
				_, _ = fmt.Fprintf(os.Stderr, "real API server: %d of %d pods\n", n, c.pods)
			}
			return nil
		})
	}
	return group.Wait()
}

// describe prints the figures.
func (r *onReal) describe(out io.Writer) {
	_, _ = fmt.Fprintf(out, "\nreal API server, %d pods: cluster scope synced in %.1f s, RSS %.0f MiB; node scope in %.1f s, RSS %.0f MiB\n",
		r.Cluster.Pods, r.Cluster.SyncSeconds, r.Cluster.RSSMiB, r.Node.SyncSeconds, r.Node.RSSMiB)
	s := r.Scan
	_, _ = fmt.Fprintf(out, "scan of %.0f unknown addresses/s for %.0f s: %d lookups, %.0f ns each, %.1f requests/min to the API server\n",
		s.Rate, s.Seconds, s.Lookups, s.NsPerLookup, s.PerMinute)
}

func (r *onReal) bars() []bar {
	return []bar{
		{"RSS, cluster scope, real server, MiB", r.Cluster.RSSMiB, 150},
		{"RSS, node scope, real server, MiB", r.Node.RSSMiB, 40},
		{"requests/min under the scan (rate and burst)", r.Scan.PerMinute, r.Scan.allowed()},
	}
}

// scanned is the effect of a scan on the API server.
type scanned struct {
	Seconds     float64 `json:"seconds"`
	Rate        float64 `json:"addressesPerSecond"`
	Lookups     int     `json:"lookups"`
	NsPerLookup float64 `json:"nsPerLookup"` // of processor time
	PerMinute   float64 `json:"requestsPerMinute"`
}

// allowed returns the configured rate per minute, including its burst.
func (s *scanned) allowed() float64 { return scanQPS*60 + scanBurst*60/s.Seconds }

const (
	scanQPS, scanBurst = 2, 10
	scanRate           = 10_000 // addresses per second
)

// scanReal scans an agent in node scope. It reads from the API server's metrics how many
// lists of pods reach it meanwhile.
func (o *options) scanReal(ctx context.Context, cp *controlplane.ControlPlane, kubeconfig string) (scanned, error) {
	before, err := podLists(ctx, cp.Client())
	if err != nil {
		return scanned{}, err
	}
	var s scanned
	if err := o.inChild(ctx, &s, "scan", "-kubeconfig", kubeconfig, "-scan", o.scan.String()); err != nil {
		return scanned{}, err
	}
	after, err := podLists(ctx, cp.Client())
	if err != nil {
		return scanned{}, err
	}
	s.PerMinute = (after - before) / s.Seconds * 60
	return s, nil
}

// print writes a child's result.
func (s scanned) print(out io.Writer) error { return json.NewEncoder(out).Encode(s) }

// tick calls f each millisecond with the number of addresses that are due.
func tick(ctx context.Context, d time.Duration, f func(due int)) {
	every := time.NewTicker(time.Millisecond)
	defer every.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-every.C:
			f(int(min(now.Sub(began), d).Seconds() * scanRate))
			if now.Sub(began) >= d {
				return
			}
		}
	}
}
