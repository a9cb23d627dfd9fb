//go:build !linux

package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// nodeCommands stand in for the commands that need Linux, and say so.
func nodeCommands() (all []*cobra.Command) {
	for _, c := range [][2]string{
		{"run", "Runs the agent of a node"},
		{"watch", "Shows the drops of this host as they come"},
		{"doctor", "Checks a host and its API access, and says what to do"},
	} {
		all = append(all, &cobra.Command{
			Use: c[0], Short: c[1] + " (on Linux)", DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return fmt.Errorf("%s needs Linux, this is %s: run it on a node, or by kubectl exec in the agent's pod", c[0], runtime.GOOS)
			},
		})
	}
	return all
}
