package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Signal sends a signal to the agent.
func (a *Agent) Signal(s syscall.Signal) error {
	if err := a.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("send %v to the agent: %w", s, err)
	}
	return nil
}

// Wait waits until the agent has ended and returns its exit status. It returns an error
// if ctx ends first, or if a signal ended the agent.
func (a *Agent) Wait(ctx context.Context) (int, error) {
	select {
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the agent's end: %w; its log:\n%s", ctx.Err(), a.Log())
	case <-a.done:
	}
	status := a.cmd.ProcessState.ExitCode()
	if status < 0 {
		return 0, fmt.Errorf("the agent ended: %w; its log:\n%s", a.err, a.Log())
	}
	return status, nil
}

// Stop asks the agent to end and waits until it has ended. An exit status other than 0 is
// an error.
func (a *Agent) Stop(ctx context.Context) error {
	if err := a.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	status, err := a.Wait(ctx)
	if err != nil {
		return err
	}
	if status != 0 {
		return fmt.Errorf("the agent's exit status is %d; its log:\n%s", status, a.Log())
	}
	return nil
}

// Kill ends the agent at once. It is no error if the agent has ended already.
func (a *Agent) Kill() error {
	if err := a.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the agent: %w", err)
	}
	<-a.done
	return nil
}

// WaitReady waits until /readyz answers 200. It returns an error if ctx or the agent ends
// first.
func (a *Agent) WaitReady(ctx context.Context) error {
	return a.WaitAnswer(ctx, "/readyz", http.StatusOK)
}

// WaitAnswer waits until the path answers with the status.
func (a *Agent) WaitAnswer(ctx context.Context, path string, want int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := a.status(ctx, path)
		if err == nil && got == want {
			return nil
		}
		select {
		case <-a.done:
			return fmt.Errorf("the agent ended (%v); its log:\n%s", a.cmd.ProcessState, a.Log())
		case <-ctx.Done():
			return fmt.Errorf("wait for %d from %s, last %d: %w; the agent's log:\n%s", want, path, got, errors.Join(ctx.Err(), err), a.Log())
		case <-tick.C:
		}
	}
}

// Answer returns the status and the text that the path answers.
func (a *Agent) Answer(ctx context.Context, path string) (status int, text string, err error) {
	response, err := a.get(ctx, path)
	if err != nil {
		return 0, "", err
	}
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), errors.Join(err, response.Body.Close())
}

// status asks the agent's server from inside of its namespace.
func (a *Agent) status(ctx context.Context, path string) (int, error) {
	response, err := a.get(ctx, path)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func (a *Agent) get(ctx context.Context, path string) (*http.Response, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: a.dial}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.listen+path, nil)
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(request)
}

func (a *Agent) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := a.node.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Metrics are the agent's metric families by name.
type Metrics map[string]*dto.MetricFamily

// Metrics reads /metrics.
func (a *Agent) Metrics(ctx context.Context) (Metrics, error) {
	response, err := a.get(ctx, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	return families, nil
}

// Sum adds up the counters or gauges of a family that have the given labels, which are
// name and value pairs. The sum of a family that does not exist is 0.
func (m Metrics) Sum(name string, labels ...string) float64 {
	var sum float64
	for _, metric := range m[name].GetMetric() {
		if matches(metric, labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return sum
}

func matches(metric *dto.Metric, labels []string) bool {
	have := map[string]string{}
	for _, l := range metric.GetLabel() {
		have[l.GetName()] = l.GetValue()
	}
	for i := 0; i+1 < len(labels); i += 2 {
		if have[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}
