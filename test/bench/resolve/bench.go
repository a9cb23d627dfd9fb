package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// figures are all results.
type figures struct {
	Cluster measured `json:"clusterScope"`
	Node    measured `json:"nodeScope"`
	Plain   measured `json:"plainInformer"`
	Real    *onReal  `json:"realAPIServer,omitempty"`
}

// bench runs all parts and prints their results.
func (o *options) bench(ctx context.Context, out io.Writer) error {
	var f figures
	url, stop, err := o.startServer(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, part := range []struct {
		role string
		into *measured
	}{{"cluster", &f.Cluster}, {"node", &f.Node}, {"plain", &f.Plain}} {
		_, _ = fmt.Fprintf(os.Stderr, "%d pods, %s\n", o.cluster.pods, part.role)
		if err := o.inChild(ctx, part.into, part.role, "-url", url); err != nil {
			return err
		}
	}
	stop()
	if o.real > 0 {
		if f.Real, err = o.measureReal(ctx); err != nil {
			return err
		}
	}
	if err := o.save(f); err != nil {
		return err
	}
	return report(out, f)
}

func (o *options) save(f figures) error {
	if o.json == "" {
		return nil
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.json, append(data, '\n'), 0o644)
}

// command returns a command that runs this program in a role. It ends with this process.
func (o *options) command(ctx context.Context, role string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	args = append([]string{"-child", role, "-pods", fmt.Sprint(o.cluster.pods), "-nodes", fmt.Sprint(o.cluster.nodes)}, args...)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// inChild runs a role until it ends, and reads its result.
func (o *options) inChild(ctx context.Context, into any, role string, args ...string) error {
	cmd, err := o.command(ctx, role, args...)
	if err != nil {
		return err
	}
	result, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("measure %s: %w", role, err)
	}
	return json.Unmarshal(result, into)
}

// startServer starts the synthetic cluster's server.
func (o *options) startServer(ctx context.Context) (url string, stop func(), err error) {
	cmd, err := o.command(ctx, "serve")
	if err != nil {
		return "", nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("start the server: %w", err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("start the server: %w", err)
	}
	return strings.TrimSpace(line), stop, nil
}

// bar is a limit for a figure.
type bar struct {
	name        string
	value, most float64
}

// report prints the table, and fails if a bar is missed.
func report(out io.Writer, f figures) error {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%-26s %9s %9s %9s %9s %9s %9s %9s %9s %7s\n", "",
		"pods", "sync s", "B/pod", "peak MiB", "synced", "RSS MiB", "ns/lookup", "cold ns", "allocs")
	for _, row := range []struct {
		name string
		m    measured
	}{{"kube-nflog, cluster scope", f.Cluster}, {"kube-nflog, node scope", f.Node}, {"plain informer, index", f.Plain}} {
		fmt.Fprintf(&text, "%-26s %9d %9.1f %9.0f %9.0f %9.0f %9.0f %9.0f %9.0f %7d\n", row.name, row.m.Pods, row.m.SyncSeconds,
			row.m.BytesPerPod, row.m.PeakMiB, row.m.SyncedMiB, row.m.RSSMiB, row.m.LookupNs, row.m.ColdNs, row.m.Allocs)
	}
	bars := []bar{
		{"bytes per pod", f.Cluster.BytesPerPod, 400},
		{"RSS, cluster scope, MiB", f.Cluster.RSSMiB, 150},
		{"RSS, node scope, MiB", f.Node.RSSMiB, 40},
		{"ns per lookup", f.Cluster.LookupNs, 200},
		{"allocations per lookup", float64(f.Cluster.Allocs), 0},
	}
	if f.Real != nil {
		f.Real.describe(&text)
		bars = append(bars, f.Real.bars()...)
	}
	var missed []error
	fmt.Fprintf(&text, "\n%-44s %12s %12s\n", "bar", "measured", "at most")
	for _, b := range bars {
		verdict := "kept"
		if b.value > b.most {
			verdict = "MISSED"
			missed = append(missed, fmt.Errorf("%s: %.1f, at most %.1f", b.name, b.value, b.most))
		}
		fmt.Fprintf(&text, "%-44s %12.1f %12.1f  %s\n", b.name, b.value, b.most, verdict)
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return err
	}
	return errors.Join(missed...)
}
