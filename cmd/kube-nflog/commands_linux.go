package main

import "github.com/spf13/cobra"

// nodeCommands are the commands that look at a node. They need Linux.
func nodeCommands() []*cobra.Command {
	return []*cobra.Command{runCommand(), watchCommand(), doctorCommand()}
}
