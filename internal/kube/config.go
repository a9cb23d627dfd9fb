// Package kube connects to the API server. Config finds it, as an agent does or
// as kubectl does; NewClients makes clients of it.
package kube

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

// Config says where to look for the API server. All fields may be empty.
type Config struct {
	File      string // the kubeconfig file
	Server    string // URL of the API server, instead of the file's or the cluster's own
	UserAgent string
}

// ConfigError is a mistake in what the user gave: a file that does not exist, or
// that cannot be read.
type ConfigError struct{ error }

func (e ConfigError) Unwrap() error { return e.error }

// ForAgent finds the API server by File or Server, else by the pod's service
// account. It returns nil where there is no cluster.
func (c Config) ForAgent() (*rest.Config, error) {
	if c.File != "" || c.Server != "" {
		return c.explicit()
	}
	cfg, err := rest.InClusterConfig()
	switch {
	case errors.Is(err, rest.ErrNotInCluster):
		return nil, nil //nolint:nilnil // the caller decides whether it needs a cluster
	case err != nil:
		return nil, fmt.Errorf("use the service account: %w", err)
	}
	cfg.UserAgent = c.UserAgent
	return cfg, nil
}

// ForUser finds the API server as kubectl does: by File, else by KUBECONFIG or
// ~/.kube/config, else by the pod's service account. It returns nil where there
// is none of these. namespace is the one that the kubeconfig selects.
func (c Config) ForUser() (cfg *rest.Config, namespace string, err error) {
	if c.Server != "" {
		cfg, err = c.explicit()
		return cfg, "", err
	}
	if err := c.checkVariable(); err != nil {
		return nil, "", err
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.File
	found := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil)
	cfg, err = found.ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", nil
	}
	if err == nil {
		namespace, _, err = found.Namespace()
	}
	switch {
	case err == nil:
		cfg.UserAgent = c.UserAgent
		return cfg, namespace, nil
	case c.File == "":
		return nil, "", ConfigError{fmt.Errorf("read the kubeconfig (%s): %w", strings.Join(rules.Precedence, ", "), err)}
	}
	return nil, "", ConfigError{fmt.Errorf("--kubeconfig: %w", err)}
}

// explicit reads File. Server alone goes with the service account's token.
func (c Config) explicit() (cfg *rest.Config, err error) {
	if c.File == "" {
		cfg, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			cfg, err = &rest.Config{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("use the service account: %w", err)
		}
		cfg.Host = c.Server
	} else if cfg, err = clientcmd.BuildConfigFromFlags(c.Server, c.File); err != nil {
		return nil, ConfigError{fmt.Errorf("--kubeconfig: %w", err)}
	}
	cfg.UserAgent = c.UserAgent
	return cfg, nil
}

// checkVariable returns an error where KUBECONFIG names files and none of them
// exists. kubectl takes that for an empty configuration.
func (c Config) checkVariable() error {
	const variable = clientcmd.RecommendedConfigPathEnvVar
	named := os.Getenv(variable)
	exists := func(name string) bool {
		_, err := os.Stat(name)
		return name != "" && !errors.Is(err, fs.ErrNotExist)
	}
	if c.File != "" || named == "" || slices.ContainsFunc(filepath.SplitList(named), exists) {
		return nil
	}
	return ConfigError{fmt.Errorf("%s: there is no file %s", variable, named)}
}
