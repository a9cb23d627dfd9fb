package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/kube-nflog/kube-nflog/internal/kube"
)

// kubeConfig says where to look for the API server, by two flags.
func kubeConfig(file, server string) kube.Config {
	return kube.Config{File: file, Server: server, UserAgent: "kube-nflog/" + version}
}

// agentAddresses are where an agent may listen: where it was told to, or else
// where deploy/ has it and where it is by default.
func agentAddresses(flag string) []string {
	if flag != "" {
		return []string{flag}
	}
	return []string{"127.0.0.1:19090", "127.0.0.1:9090"}
}

// flagError says what is wrong with a flag as all mistakes are said: the flag,
// then what it wants.
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

// inWords says what a flag's value must be, by pflag's name of its type.
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

// uint16s returns numbers that were found to fit.
func uint16s(valid []uint) []uint16 {
	all := make([]uint16, len(valid))
	for i, v := range valid {
		all[i] = uint16(v)
	}
	return all
}
