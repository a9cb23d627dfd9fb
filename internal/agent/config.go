//go:build linux

// Package agent is the agent of one node. In goes a configuration; out come events, JSON
// lines and metrics. It wires the stages of the packet path, runs them, and ends them one
// after the other. It also answers over HTTP: metrics, probes, and the flows as they come.
//
// [New] and [Agent.Run] belong to one goroutine.
package agent

import (
	"io"
	"log/slog"
	"time"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Config says what an agent reads and what it reports.
type Config struct {
	NodeName string

	Groups      []uint16 // the NFLOG groups to read
	AwaitGroups bool     // wait for groups that another process reads, instead of failing
	Prefixes    []string // only packets whose NFLOG prefix starts with one of these; nil for all
	FlowWindow  time.Duration

	Dialect       dialect.Dialect // the program that wrote the rules
	PrefixPattern string          // regular expression for the prefixes of the user's own rules

	Kube    kube.Clients   // zero without a cluster; Networking is nil if policies are not to be read
	Resolve resolve.Config // New sets Logger and Registerer
	Events  event.Config   // New sets Logger and Registerer
	Metrics metric.Config  // New sets Registerer

	WriteEvents bool      // false if events are only counted
	Lines       io.Writer // gets a JSON line for each flow and window; nil for nobody

	Listen string // address of the HTTP server; "" for none
	PProf  bool   // answer /debug/pprof there, only for this host

	ShutdownWithin time.Duration // how long the stages may take to end after Run's context
	Version        string        // of the program, for a metric

	Logger *slog.Logger
}

// ConfigError is a mistake in a Config.
type ConfigError struct{ error }

func (e ConfigError) Unwrap() error { return e.error }
