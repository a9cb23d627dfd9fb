//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/internal/doctor"
)

const doctorHelp = `Looks for what keeps drops from being reported, and says what to do about it: the
capability, the kernel, who owns the NFLOG group, whether rules log to it before
they drop, limits, settings, the rights at the API server, and a running agent's
own counters. It changes nothing. Exit status 1 says that there is a problem.

  kubectl -n kube-nflog exec POD -- /kube-nflog doctor     as the agent
  sudo kube-nflog doctor                                   on any host`

// errUnwell says that a problem was found, and printed.
var errUnwell = errors.New("there are problems, see above")

func doctorCommand() *cobra.Command {
	var o options
	var groups []uint
	var output, address string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Checks a host and its API access, and says what to do",
		Long:  doctorHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := validateDoctor(groups, output); err != nil {
				return usageError{oneLineEach(err)}
			}
			cluster, err := clusterOf(&o)
			if err != nil {
				return err
			}
			w := watchOptions{address: address}
			look := doctor.Config{Groups: uint16s(groups), Cluster: cluster, Agents: w.addresses()}
			if agents := doctor.AgentGroups(cmd.Context(), look.Agents); len(agents) > 0 && !cmd.Flags().Changed("group") {
				look.Groups = agents
			}
			findings := doctor.Examine(cmd.Context(), look)
			if err := printFindings(cmd.OutOrStdout(), findings, output); err != nil {
				return err
			}
			return verdict(findings)
		},
	}
	o.define(pflag.NewFlagSet("run", pflag.ContinueOnError)) // the defaults
	o.events = false                                         // a cluster is not needed
	f := cmd.Flags()
	f.UintSliceVar(&groups, "group", []uint{100}, "NFLOG groups that the agent reads; asked of the agent where one runs")
	f.Lookup("group").DefValue = "100" // not [100]
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it, and in a pod the service account)")
	f.StringVar(&o.apiServer, "kube-api-server", "", "URL of the API server, instead of the kubeconfig's or the cluster's own")
	f.StringVar(&address, "agent-address", "", "the agent's --listen address (default: tries 127.0.0.1:19090 and 127.0.0.1:9090)")
	f.StringVar(&output, "output", "text", "text or json")
	f.SortFlags = false
	return cmd
}

func uint16s(valid []uint) []uint16 {
	all := make([]uint16, len(valid))
	for i, v := range valid {
		all[i] = uint16(v)
	}
	return all
}

func validateDoctor(groups []uint, output string) error {
	var errs []error
	for _, g := range groups {
		if g > 65535 {
			errs = append(errs, fmt.Errorf("--group: %d is not an NFLOG group (0 to 65535)", g))
		}
	}
	if output != "text" && output != outputJSON {
		errs = append(errs, fmt.Errorf("--output: %q is neither text nor json", output))
	}
	return errors.Join(errs...)
}

// clusterOf returns how to reach the API server: as kubectl would, in the agent's
// pod as the agent; nil where there is no cluster.
func clusterOf(o *options) (*doctor.Cluster, error) {
	cfg, _, err := kubeConfig(o.kubeconfig, o.apiServer).ForUser()
	if err != nil || cfg == nil {
		return nil, err
	}
	cfg.UserAgent = "kube-nflog-doctor/" + version
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	url, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read the API server's address: %w", err)
	}
	url.Path = strings.TrimSuffix(url.Path, "/")
	return &doctor.Cluster{URL: url.String(), Client: client, ServiceAccount: cfg.BearerTokenFile != ""}, nil
}

// printFindings prints them with a mark, the remedies below, or as JSON.
func printFindings(w io.Writer, findings []doctor.Finding, output string) error {
	var b strings.Builder
	if output == outputJSON {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(findings); err != nil {
			return fmt.Errorf("print findings: %w", err)
		}
	} else {
		for _, f := range findings {
			fmt.Fprintf(&b, "%-8s %-16s %s\n", f.Status, f.Check, f.Says)
			if f.Remedy != "" {
				fmt.Fprintf(&b, "%-25s → %s\n", "", f.Remedy)
			}
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print findings: %w", err)
	}
	return nil
}

func verdict(findings []doctor.Finding) error {
	for _, f := range findings {
		if f.Status == doctor.Problem {
			return errUnwell
		}
	}
	return nil
}
