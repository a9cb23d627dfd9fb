//go:build linux

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/doctor"
)

const doctorHelp = `Finds out why drops are not reported, and says what to do. It checks the capability,
the kernel, the owner of the NFLOG group, whether rules log to the group before they
drop, limits, settings, the rights at the API server, and the counters of a running
agent. It changes nothing. The exit status is 1 if there is a problem.

  kubectl -n kube-nflog exec POD -- /kube-nflog doctor     as the agent
  sudo kube-nflog doctor                                   on any host`

// errUnwell is the error if doctor has found a problem and printed it.
var errUnwell = errors.New("there are problems, see above")

func doctorCommand() *cobra.Command {
	var groups []uint
	var kubeconfig, apiServer, address, output string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Checks a host and its API access, and says what to do",
		Long:  doctorHelp,
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := validateDoctor(groups, output); err != nil {
				return usageError{oneLineEach(err)}
			}
			cfg := doctor.Config{Agents: agentAddresses(address)}
			if cmd.Flags().Changed("group") {
				cfg.Groups = uint16s(groups)
			}
			server, _, err := kubeConfig(kubeconfig, apiServer).ForUser()
			if err != nil {
				return err
			}
			if cfg.Cluster, err = doctor.NewCluster(server); err != nil {
				return err
			}
			findings := doctor.Examine(cmd.Context(), cfg)
			if err := findings.Print(cmd.OutOrStdout(), output == outputJSON); err != nil {
				return err
			}
			if findings.HaveProblem() {
				return errUnwell
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.UintSliceVar(&groups, "group", []uint{100}, "NFLOG groups that the agent reads; a running agent is asked for its groups")
	f.Lookup("group").DefValue = "100" // not [100]
	f.StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: as kubectl finds it, and in a pod the service account)")
	f.StringVar(&apiServer, "kube-api-server", "", "URL of the API server, instead of the kubeconfig's or the cluster's own")
	f.StringVar(&address, "agent-address", "", "the agent's --listen address (default: tries 127.0.0.1:19090 and 127.0.0.1:9090)")
	f.StringVar(&output, "output", "text", "text or json")
	f.SortFlags = false
	return cmd
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
