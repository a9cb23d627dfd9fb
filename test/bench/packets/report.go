package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// report holds the results of a run.
type report struct {
	Machine   machine       `json:"machine"`
	Skipped   []string      `json:"skipped"`
	Scenarios []*results    `json:"scenarios"`
	Idle      time.Duration `json:"idleCPU"`  // nanoseconds that kube-nflog ran
	IdleSpan  time.Duration `json:"idleSpan"` // in a span without traffic
	Bars      []bar         `json:"bars"`
}

func newReport(ctx context.Context, p plan, b *bench) (*report, error) {
	r := &report{Skipped: p.skipped}
	for _, s := range p.scenarios {
		r.Scenarios = append(r.Scenarios, &results{Scenario: s})
	}
	var err error
	r.Machine, err = describe(ctx, b)
	return r, err
}

func (r *report) add(s scenario, reader string, m measurement) {
	of := r.scenario(s.Name)
	cell := of.of(reader)
	if cell == nil {
		cell = &result{Reader: reader}
		of.Results = append(of.Results, cell)
	}
	cell.Rounds = append(cell.Rounds, m)
}

func (r *report) addIdle(span, ran time.Duration) { r.Idle, r.IdleSpan = ran, span }

func (r *report) scenario(name string) *results {
	for _, s := range r.Scenarios {
		if s.Scenario.Name == name {
			return s
		}
	}
	return nil
}

// finish summarises the rounds.
func (r *report) finish() (err error) {
	for _, s := range r.Scenarios {
		s.summarize()
	}
	r.Bars = bars(func(scenario, reader string) *result {
		s := r.scenario(scenario)
		if s == nil {
			return nil
		}
		return s.of(reader)
	}, r.Idle, r.IdleSpan)
	r.Machine.LoadAfter, err = load()
	return err
}

// write writes the report to a file, as JSON.
func (r *report) write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	return os.WriteFile(path, append(b, '\n'), 0o644) //nolint:gosec // for everyone to read
}

// print writes the tables and the bars.
func (r *report) print(w io.Writer) error {
	t := &table{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	t.line("%s", r.Machine)
	for _, s := range r.Skipped {
		t.line("%s", s)
	}
	for _, s := range r.Scenarios {
		t.scenario(s)
	}
	t.line("")
	for _, b := range r.Bars {
		t.line("%s", b)
	}
	return t.flush()
}

// table writes lines and keeps the first error.
type table struct {
	w   *tabwriter.Writer
	err error
}

func (t *table) line(format string, args ...any) {
	if _, err := fmt.Fprintf(t.w, format+"\n", args...); t.err == nil {
		t.err = err
	}
}

func (t *table) scenario(s *results) {
	t.line("\n%s (%.0f/s)\n", s.Scenario, s.Rate)
	t.line("CPU µs/packet\tlowest\thighest\tin kube-nflog's\treceived\tmost lost\tpeak MiB\t  reader")
	for _, r := range s.Results {
		t.line("%.3f\t%.3f\t%.3f\t%.2f\t%d\t%d\t%.1f\t  %s",
			r.Median, r.Lowest, r.Highest, r.OfKubeNflog, r.Received, r.MostLost, float64(r.Peak)/1024, r.Reader)
	}
	t.keep(t.w.Flush())
}

func (t *table) keep(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *table) flush() error {
	t.keep(t.w.Flush())
	return t.err
}
