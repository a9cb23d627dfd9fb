//go:build linux

package main

import "github.com/spf13/cobra"

// nodeCommands are those that look at a node, and so at Linux.
func nodeCommands() []*cobra.Command {
	return []*cobra.Command{runCommand(), watchCommand(), doctorCommand()}
}
