// Command kube-nflog tells the owners of pods which packets a node's firewall
// denied them. Each subcommand has a file here, which turns flags into the
// configuration of a package of internal/ and calls it. The agent itself is in
// internal/agent.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kube-nflog/kube-nflog/internal/kube"
)

// version is stamped by the build.
var version = "dev"

// Exit statuses.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitDenied  = 3 // explain
	exitUnknown = 4 // explain
)

// usageError is a mistake in flags or environment variables: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// statusError is an error with an exit status of its own.
type statusError struct {
	error

	status int
}

func (e statusError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := execute(ctx, rootCommand())
	stop()
	if err != nil && err.Error() != "" {
		fmt.Fprintf(os.Stderr, "kube-nflog: %v\n", err)
	}
	os.Exit(statusOf(err))
}

// execute runs the command that the arguments name. An unknown command is a
// usageError even if --help follows it: cobra finds the command before it reads
// flags, and the root command itself has no other errors.
func execute(ctx context.Context, root *cobra.Command) error {
	ran, err := root.ExecuteContextC(ctx)
	if err != nil && ran == root {
		return usageError{err}
	}
	return err
}

func statusOf(err error) int {
	if err == nil {
		return 0
	}
	if errors.As(err, new(usageError)) || errors.As(err, new(kube.ConfigError)) {
		return exitUsage
	}
	var other statusError
	if errors.As(err, &other) {
		return other.status
	}
	return exitFailed
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "kube-nflog",
		Short: "Tells the owners of pods which packets a node's firewall denied them",
		Long: `kube-nflog reads the kernel's NFLOG groups and reports each denied packet as a
Kubernetes event on the pods concerned. kubectl describe pod then tells why
traffic disappears.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.InitDefaultHelpFlag() // otherwise "--help fly" would take fly as the flag's value
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{flagError(err)} })
	root.SetVersionTemplate("kube-nflog {{.Version}}\n")
	root.AddCommand(nodeCommands()...)
	root.AddCommand(rulesCommand(), explainCommand(), versionCommand())
	strictHelp(root)
	return root
}

// strictHelp makes "help" fail for a command that does not exist. cobra's own help
// command prints the usage then, and exits with status 0.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	for _, help := range root.Commands() {
		if help.Name() != "help" {
			continue
		}
		help.Run = nil
		help.RunE = func(_ *cobra.Command, args []string) error {
			topic, rest, err := root.Find(args)
			if err != nil {
				return usageError{err}
			}
			if len(rest) > 0 {
				return usageError{fmt.Errorf("unknown command %q for %q", rest[0], topic.CommandPath())}
			}
			topic.InitDefaultHelpFlag() // so that the text has --help
			return topic.Help()
		}
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "kube-nflog", version)
			return err
		},
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args)}
	}
	return nil
}

// oneLineEach puts each of several joined errors on a line of its own. The first
// line is a heading, because main prints the program's name before it.
func oneLineEach(err error) error {
	lines := strings.Split(err.Error(), "\n")
	if len(lines) == 1 {
		return err
	}
	return errors.New("bad options:\n  " + strings.Join(lines, "\n  "))
}
