package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// awaitEvents waits until every expected event is in the API server. Counts may still grow
// afterwards.
func (d *demo) awaitEvents(ctx context.Context, cp *controlplane.ControlPlane, denied []attempt) error {
	want := expectations(denied)
	end := d.progress.step(fmt.Sprintf("waiting until all %d events are in the API server", len(want)))
	defer end()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		events, err := listEvents(ctx, cp)
		if err == nil {
			if err = missing(want, events, present); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func listEvents(ctx context.Context, cp *controlplane.ControlPlane) ([]corev1.Event, error) {
	list, err := cp.Client().CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return list.Items, nil
}

// show prints what an application owner sees, and compares it with the sent packets.
func (d *demo) show(ctx context.Context, cp *controlplane.ControlPlane, a *agent.Agent, denied []attempt) error {
	for _, pod := range []string{frontend, api} {
		out, err := cp.Kubectl(ctx, "describe", "pod", "-n", namespace, pod)
		if err != nil {
			return err
		}
		d.progress.heading(fmt.Sprintf("kubectl describe pod -n %s %s", namespace, pod))
		d.progress.print(out)
	}
	d.progress.heading("kube-nflog run --output json")
	for _, line := range a.RawLines() {
		d.progress.print(line + "\n")
	}
	d.progress.print("\n")
	return d.check(ctx, cp, a, denied)
}

// check compares the counts of events and JSON lines with the number of sent packets.
func (d *demo) check(ctx context.Context, cp *controlplane.ControlPlane, a *agent.Agent, denied []attempt) error {
	events, err := listEvents(ctx, cp)
	if err != nil {
		return err
	}
	if err := missing(expectations(denied), events, exact); err != nil {
		return err
	}
	lines, err := a.Lines()
	if err != nil {
		return err
	}
	sent, told := len(denied)*attempts, uint64(0)
	for i := range lines {
		told += lines[i].Packets
	}
	if told != uint64(sent) {
		return fmt.Errorf("the JSON lines count %d packets, %d were denied", told, sent)
	}
	d.progress.say("%d packets were denied; the %d events and the JSON lines count exactly these", sent, len(events))
	return nil
}
