// Command kubectl is the real kubectl, built from the pinned module
// k8s.io/kubectl, so that tests and the demo show what a user sees.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() {
	os.Exit(cli.Run(cmd.NewDefaultKubectlCommand()))
}
