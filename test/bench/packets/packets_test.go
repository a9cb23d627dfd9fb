package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// root is the main module's directory as tests see it.
const root = "../../.."

func TestMain(m *testing.M) {
	o := &options{root: root}
	code, err := netlab.Run(func() error { return o.build(context.Background()) }, func() int { return m.Run() })
	var unsupported *netlab.UnsupportedError
	if errors.As(err, &unsupported) {
		fmt.Println("skipped:", err)
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// TestEveryReaderGetsWhatIsOffered compares the count of each reader with the count of
// the rule, at a rate at which nothing is lost.
func TestEveryReaderGetsWhatIsOffered(t *testing.T) {
	l, err := newLab()
	if err != nil {
		t.Fatal(err)
	}
	found, skipped, err := readers(&options{root: root})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(skipped)
	for _, tt := range []traffic{
		{Rate: 10_000, Flows: 1, Packets: 2_000},
		{Rate: 10_000, Flows: 100, Packets: 2_000},
		{Rate: 10_000, Flows: 3_000, Packets: 2_000, Random: true}, // whose warm-up is longer
	} {
		s := scenario{Name: "test", traffic: tt}
		for _, r := range found {
			m, err := l.measure(t.Context(), r, s, l.generator.otherCPUs())
			if err != nil {
				t.Fatal(err)
			}
			if m.Offered != 2_000 || m.Received != 2_000 || m.Lost != 0 || m.CPU <= 0 || m.Peak == 0 {
				t.Errorf("%s, %s: %+v", r.name, tt, m)
			}
		}
	}
	t.Run("records", func(t *testing.T) { testRecords(t, l) })
	t.Run("report", func(t *testing.T) { testReport(t, l) })
}

// testRecords checks the size of ulogd2's records against a known number of packets. The
// benchmark counts ulogd2's losses by this size.
func testRecords(t *testing.T, l *lab) {
	if _, err := ulogdReaders(); err != nil {
		t.Skip(err)
	}
	for _, u := range ulogdOutputs() {
		command, err := u.configure("/usr/sbin/ulogd", os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		r := reader{name: u.name, command: command, rest: restOfSocket, received: u.received("/usr/sbin/ulogd")}
		_, err = l.with(t.Context(), r, nil, func(p *process, _ uint32) error {
			if _, err := l.generator.send(traffic{Rate: warmUpRate, Flows: 1, Packets: 10_000}); err != nil {
				return err
			}
			if _, err := p.awaitRest(t.Context(), r.rest); err != nil {
				return err
			}
			// Pretend that a datagram was dropped, so that records are counted.
			got, err := r.received(t.Context(), l, p, 20_000, 1)
			if got < 9_800 || got > 10_200 {
				t.Errorf("%s: %d records counted, want about 10000", u.name, got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// testReport runs a whole, small plan.
func testReport(t *testing.T, l *lab) {
	p, err := newPlan(&options{root: root, rounds: 1, flood: 5_000, scenarios: flood, readers: kubeNflog + "," + floor})
	if err != nil {
		t.Fatal(err)
	}
	r, err := (&bench{lab: l, progress: io.Discard}).run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.print(io.Discard); err != nil {
		t.Error(err)
	}
	if err := r.write(t.TempDir() + "/report.json"); err != nil {
		t.Error(err)
	}
	own, least := r.Scenarios[0].of(kubeNflog), r.Scenarios[0].of(floor)
	for _, b := range r.Bars {
		if b.What == "flood: CPU per packet in that of floor" && (!b.Known || b.Measured != own.Median/least.Median) {
			t.Errorf("%+v of %+v and %+v", b, own, least)
		}
	}
}
