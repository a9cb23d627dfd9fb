package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubectl runs the real kubectl as administrator and returns its standard output. An
// error contains its standard error.
func (c *ControlPlane) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlAs(ctx, c.kubeconfig, args...)
}

// KubectlAs is Kubectl with another kubeconfig.
func (c *ControlPlane) KubectlAs(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.cfg.Binaries.Kubectl, args...)
	// HOME hides the user's kubectl preferences and cache.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+c.cfg.Dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// InstallAgent applies the kustomization in dir, as a user does, and returns the
// ServiceAccount of its DaemonSet. No pod starts, because there is no controller.
func (c *ControlPlane) InstallAgent(ctx context.Context, dir string) (types.NamespacedName, error) {
	if _, err := c.Kubectl(ctx, "apply", "-k", dir); err != nil {
		return types.NamespacedName{}, fmt.Errorf("install the agent: %w", err)
	}
	sets, err := c.client.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return types.NamespacedName{}, fmt.Errorf("install the agent: %w", err)
	}
	if len(sets.Items) != 1 {
		return types.NamespacedName{}, fmt.Errorf("install the agent: %s gave %d DaemonSets, want 1", dir, len(sets.Items))
	}
	return types.NamespacedName{
		Namespace: sets.Items[0].Namespace,
		Name:      sets.Items[0].Spec.Template.Spec.ServiceAccountName,
	}, nil
}

// ServiceAccountKubeconfig requests a token for the account and returns the
// path of a kubeconfig with it. The token lives for an hour.
func (c *ControlPlane) ServiceAccountKubeconfig(ctx context.Context, account types.NamespacedName) (string, error) {
	request, err := c.client.CoreV1().ServiceAccounts(account.Namespace).CreateToken(ctx, account.Name,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request a token for %s: %w", account, err)
	}
	if request.Status.Token == "" {
		return "", errors.New("request a token: the answer holds none")
	}
	path := filepath.Join(c.cfg.Dir, account.Namespace+"-"+account.Name+".kubeconfig")
	return path, c.writeKubeconfig(path, &clientcmdapi.AuthInfo{Token: request.Status.Token})
}

func adminUser(p pki) *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{ClientCertificate: p.adminCert, ClientKey: p.adminKey}
}

// writeKubeconfig writes a kubeconfig for this API server and one user.
func (c *ControlPlane) writeKubeconfig(path string, user *clientcmdapi.AuthInfo) error {
	const name = "kube-nflog-test"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: c.URL(), CertificateAuthority: c.pki.caCert}
	cfg.AuthInfos[name] = user
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	cfg.CurrentContext = name
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
