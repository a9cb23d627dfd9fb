package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// again runs a scenario in its own process with the same options, because the scenario
// changes settings of the process.
func again(ctx context.Context, scenario string) error {
	var args []string
	flag.Visit(func(f *flag.Flag) { args = append(args, "-"+f.Name+"="+f.Value.String()) })
	cmd := exec.CommandContext(ctx, os.Args[0], append(args, scenario)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// aside is the nice value of a fleet.
const aside = 10

// stepAside gives this process the CPUs only while nothing else needs them. In a cluster
// the agents have their own machines. Here they share the machine with the API server,
// whose latency is measured. Children that already run keep their priority.
func stepAside() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads { // new threads inherit it
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, aside); err != nil && err != unix.ESRCH {
			return fmt.Errorf("lower the priority: %w", err)
		}
	}
	return nil
}
