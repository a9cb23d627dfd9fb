//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// mistake returns an error about a flag's value. It names the variable that set
// the flag, if there is one.
func (o *options) mistake(flag, format string, args ...any) error {
	return fmt.Errorf("%s: %w", o.nameOf(flag), fmt.Errorf(format, args...))
}

// validate reports every mistake at once.
func (o *options) validate() error {
	return errors.Join(o.validatePackets(), o.validateEndpoints(), o.validateEvents(), o.validateOutput(), o.validateLog())
}

func (o *options) validatePackets() error {
	var errs []error
	for i, g := range o.groups {
		if g > 65535 {
			errs = append(errs, o.mistake("group", "%d is not an NFLOG group (0 to 65535)", g))
		}
		if slices.Contains(o.groups[:i], g) {
			errs = append(errs, o.mistake("group", "%d is given twice", g))
		}
	}
	if len(o.groups) == 0 {
		errs = append(errs, o.mistake("group", "at least one is needed"))
	}
	if _, err := dialect.NewParser(dialect.Dialect(o.dialect), ""); err != nil {
		errs = append(errs, o.mistake("dialect", "%w", err))
	}
	if _, err := dialect.NewParser(dialect.Auto, o.pattern); err != nil {
		errs = append(errs, o.mistake("prefix-pattern", "%w", err))
	}
	if o.flowWindow < 100*time.Millisecond || o.flowWindow > time.Minute {
		errs = append(errs, o.mistake("flow-window", "%v is not between 100ms and 1m", o.flowWindow))
	}
	return errors.Join(errs...)
}

// checkEmit validates one setting of the emitter. The error names the flag.
func (o *options) checkEmit(flag string, empty bool, c event.Config) error {
	if empty {
		return o.mistake(flag, "must not be empty")
	}
	if err := c.Validate(); err != nil {
		return o.mistake(flag, "%w", err)
	}
	return nil
}

func (o *options) validateEndpoints() error {
	var errs []error
	if o.nodeName == "" {
		errs = append(errs, o.mistake("node-name", "must not be empty"))
	}
	if o.podScope != scopeCluster && o.podScope != scopeNode {
		errs = append(errs, o.mistake("pod-scope", "%q is neither cluster nor node", o.podScope))
	}
	if o.peerLookup && o.podScope == scopeCluster {
		errs = append(errs, o.mistake("peer-lookup", "goes with --pod-scope node; cluster scope knows every pod"))
	}
	if !slices.Contains(podIdentifiers(), o.podIdentifier) {
		errs = append(errs, o.mistake("pod-identifier", "%q is none of %s", o.podIdentifier, strings.Join(podIdentifiers(), ", ")))
	}
	if (o.podIdentifier == "label") != (o.podIdentLabel != "") {
		errs = append(errs, o.mistake("pod-identifier-label", "goes with --pod-identifier label, and that needs it"))
	}
	return errors.Join(errs...)
}

func (o *options) validateOutput() error {
	var errs []error
	if o.output != outputNone && o.output != outputJSON {
		errs = append(errs, o.mistake("output", "%q is neither none nor json", o.output))
	}
	if o.listen != "" {
		if _, err := net.ResolveTCPAddr("tcp", o.listen); err != nil {
			errs = append(errs, o.mistake("listen", "%q is no address such as :9090 or 127.0.0.1:9090", o.listen))
		}
	}
	if o.pprof && o.listen == "" {
		errs = append(errs, o.mistake("pprof", "needs --listen"))
	}
	if o.shutdownWithin < 0 {
		errs = append(errs, o.mistake("shutdown-within", "%v is negative", o.shutdownWithin))
	}
	return errors.Join(errs...)
}

func (o *options) validateEvents() error {
	var errs []error
	positive := func(flag string, value float64) {
		if !(value > 0) { // false for NaN too
			errs = append(errs, o.mistake(flag, "%v is not above 0", value))
		}
	}
	positive("event-qps", o.eventQPS)
	positive("event-burst", float64(o.eventBurst))
	positive("pod-event-qps", o.podEventQPS)
	positive("pod-event-burst", float64(o.podEventBurst))
	positive("pod-events", float64(o.podEvents))
	errs = append(errs,
		o.checkEmit("event-reason", o.eventReason == "", event.Config{Reason: o.eventReason}),
		o.checkEmit("event-source", o.eventSource == "", event.Config{Component: o.eventSource}),
		o.checkEmit("event-message", false, event.Config{Message: o.eventMessage}),
	)
	return errors.Join(errs...)
}

func (o *options) validateLog() error {
	var errs []error
	if _, err := parseLevel(o.logLevel); err != nil {
		errs = append(errs, o.mistake("log-level", "%q is none of debug, info, warn, error", o.logLevel))
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		errs = append(errs, o.mistake("log-format", "%q is neither text nor json", o.logFormat))
	}
	return errors.Join(errs...)
}
