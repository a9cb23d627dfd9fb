package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/kube-nflog/kube-nflog/internal/kube"
)

// kubeConfig returns where to look for the API server, from the values of two flags.
func kubeConfig(file, server string) kube.Config {
	return kube.Config{File: file, Server: server, UserAgent: "kube-nflog/" + version}
}

// agentAddresses returns the addresses where an agent may listen: the flag's, or else
// the one in deploy/ and the default of --listen.
func agentAddresses(flag string) []string {
	if flag != "" {
		return []string{flag}
	}
	return []string{"127.0.0.1:19090", "127.0.0.1:9090"}
}

// flagError rewrites an error of pflag in the form of all other mistakes: the flag,
// then the value that it needs.
func flagError(err error) error {
	var (
		value   *pflag.InvalidValueError
		missing *pflag.ValueRequiredError
		unknown *pflag.NotExistError
	)
	switch {
	case errors.As(err, &value):
		return fmt.Errorf("--%s: %q is not %s", value.GetFlag().Name, value.GetValue(), inWords(value.GetFlag().Value.Type()))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s: needs a value", missing.GetSpecifiedName())
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Errorf("-%s: no such flag, see --help", unknown.GetSpecifiedShortnames())
	case errors.As(err, &unknown):
		return fmt.Errorf("--%s: no such flag, see --help", unknown.GetSpecifiedName())
	}
	return err
}

// inWords describes the values of a type. kind is pflag's name of it.
func inWords(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "duration":
		return "a duration such as 500ms, 1s or 2m"
	case "float64":
		return "a number"
	case "int", "uint":
		return "a whole number"
	case "uintSlice":
		return "a number, or several with commas between"
	}
	return kind
}

// uint16s converts numbers that are valid groups.
func uint16s(valid []uint) []uint16 {
	all := make([]uint16, len(valid))
	for i, v := range valid {
		all[i] = uint16(v)
	}
	return all
}
