package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	probeEvery   = 20 * time.Millisecond
	probeObjects = 16 // so that requests under way together do not conflict
)

// request is a request of the other client: when it began, and how long it took.
type request struct {
	began time.Time
	took  time.Duration
}

// prober is another client of the API server. It runs in its own process, so that it
// shares only the machine with the fleet.
type prober struct {
	stop context.CancelFunc
	done chan error // receives when the process has ended and everything is read
	all  []request  // valid after done
}

// startProber runs this program again as the other client.
func startProber(ctx context.Context, c *cluster) (*prober, error) {
	kubeconfig, err := c.otherClient(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, os.Args[0], "probe", kubeconfig)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	p := &prober{stop: cancel, done: make(chan error, 1)}
	go func() {
		err := p.read(out)
		if waited := cmd.Wait(); ctx.Err() == nil {
			err = errors.Join(err, waited)
		}
		p.done <- err
	}()
	return p, nil
}

func (p *prober) read(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var began, took int64
		if _, err := fmt.Sscan(lines.Text(), &began, &took); err != nil {
			return fmt.Errorf("read the other client's times: %w", err)
		}
		p.all = append(p.all, request{began: time.Unix(0, began), took: time.Duration(took)})
	}
	return lines.Err()
}

// end stops the prober and returns its requests.
func (p *prober) end() ([]request, error) {
	p.stop()
	err := <-p.done
	return p.all, err
}

// between returns the durations of the requests that began in this time, sorted.
func between(all []request, from, to time.Time) []time.Duration {
	var took []time.Duration
	for _, r := range all {
		if !r.began.Before(from) && r.began.Before(to) {
			took = append(took, r.took)
		}
	}
	slices.Sort(took)
	return took
}

// probe is the other client. Every probeEvery it sends a request that updates an object,
// even if earlier requests are not answered yet. It prints when each request began and
// how long it took, in nanoseconds, until it is interrupted.
func probe(kubeconfig string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS, cfg.Timeout = -1, 30*time.Second
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(namespace)
	out := bufio.NewWriter(os.Stdout)
	var writing sync.Mutex // guards out
	var running sync.WaitGroup
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		running.Go(func() {
			cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: probeName(n)}, Data: map[string]string{"n": strconv.Itoa(n)}}
			began := time.Now()
			if _, err := maps.Update(context.WithoutCancel(ctx), cm, metav1.UpdateOptions{}); err != nil {
				fmt.Fprintln(os.Stderr, "the other client:", err)
				return
			}
			took := time.Since(began)
			writing.Lock()
			defer writing.Unlock()
			fmt.Fprintln(out, began.UnixNano(), took.Nanoseconds())
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	running.Wait()
	return out.Flush()
}

func probeName(n int) string { return fmt.Sprintf("probe-%d", n%probeObjects) }

// otherClient creates the objects for the other client, and an ordinary account to which
// the API server's limits apply. It returns the kubeconfig of that account.
func (c *cluster) otherClient(ctx context.Context) (string, error) {
	for i := range probeObjects {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: probeName(i)}}
		if _, err := c.Client().CoreV1().ConfigMaps(namespace).Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			return "", err
		}
	}
	for _, args := range [][]string{
		{"create", "serviceaccount", "-n", namespace, "other"},
		{"create", "role", "-n", namespace, "other", "--verb=update", "--resource=configmaps"},
		{"create", "rolebinding", "-n", namespace, "other", "--role=other", "--serviceaccount=" + namespace + ":other"},
	} {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return "", err
		}
	}
	return c.ServiceAccountKubeconfig(ctx, types.NamespacedName{Namespace: namespace, Name: "other"})
}
