package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// userConfig finds the API server as kubectl does: by the file, else by KUBECONFIG
// or ~/.kube/config, else by the pod's service account. It returns nil where there
// is none of these, and a usageError for a file that is named and is not there, or
// cannot be read.
func userConfig(file string) (*rest.Config, error) {
	if err := checkVariable(file); err != nil {
		return nil, err
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = file
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	switch {
	case err == nil:
		return cfg, nil
	case clientcmd.IsEmptyConfig(err):
		return nil, nil
	case file == "":
		return nil, usageError{fmt.Errorf("read the kubeconfig (%s): %w", strings.Join(rules.Precedence, ", "), err)}
	}
	return nil, usageError{fmt.Errorf("--kubeconfig: %w", err)}
}

// checkVariable returns an error where none of KUBECONFIG's files is there: kubectl
// takes that for an empty configuration.
func checkVariable(file string) error {
	const variable = clientcmd.RecommendedConfigPathEnvVar
	named := os.Getenv(variable)
	isMissing := func(name string) bool {
		_, err := os.Stat(name)
		return name == "" || errors.Is(err, fs.ErrNotExist)
	}
	files := filepath.SplitList(named)
	if file != "" || named == "" || slices.ContainsFunc(files, func(name string) bool { return !isMissing(name) }) {
		return nil
	}
	return usageError{fmt.Errorf("%s: there is no file %s", variable, named)}
}
