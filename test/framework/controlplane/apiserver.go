package controlplane

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// StartAPIServer runs the API server at the same address and with the same data as
// before. It returns when the API server is ready or ctx ends.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	if c.apiServer != nil {
		return errors.New("start kube-apiserver: it is running")
	}
	var err error
	c.apiServer, err = startProcess("kube-apiserver", c.cfg.Binaries.APIServer, c.apiServerArgs(), c.LogPath("kube-apiserver"))
	if err != nil {
		return err
	}
	return c.waitReady(ctx)
}

// StopAPIServer shuts the API server down. etcd keeps the data.
func (c *ControlPlane) StopAPIServer() error { return c.endAPIServer((*process).stop) }

// KillAPIServer ends the API server with SIGKILL, as a crash would.
func (c *ControlPlane) KillAPIServer() error { return c.endAPIServer((*process).kill) }

// RestartAPIServer shuts the API server down and starts it again.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) error {
	if err := c.StopAPIServer(); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}

func (c *ControlPlane) endAPIServer(end func(*process) error) error {
	if c.apiServer == nil {
		return nil
	}
	if err := end(c.apiServer); err != nil {
		return err
	}
	c.apiServer = nil
	return nil
}

// waitReady asks /readyz until it answers 200.
func (c *ControlPlane) waitReady(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(time.Second).Do(ctx).Error()
		if err == nil {
			return nil
		}
		select {
		case <-c.apiServer.done:
			return c.apiServer.ended()
		case <-c.etcd.done:
			return c.etcd.ended()
		case <-ctx.Done():
			return fmt.Errorf("wait for kube-apiserver to be ready: %w (last answer: %w; log: %s)", ctx.Err(), err, c.apiServer.logPath)
		case <-tick.C:
		}
	}
}

func (c *ControlPlane) etcdArgs() []string {
	client, peer := "http://"+c.etcdClient.String(), "http://"+c.etcdPeer.String()
	return []string{
		"--name=default", "--data-dir=" + filepath.Join(c.cfg.Dir, "etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--unsafe-no-fsync", // the data need not survive a crash of the machine
		"--log-level=warn",
	}
}

func (c *ControlPlane) apiServerArgs() []string {
	args := []string{
		"--etcd-servers=http://" + c.etcdClient.String(),
		"--bind-address=" + c.server.Addr().String(),
		"--advertise-address=" + c.server.Addr().String(),
		fmt.Sprintf("--secure-port=%d", c.server.Port()),
		"--tls-cert-file=" + c.pki.serverCert, "--tls-private-key-file=" + c.pki.serverKey,
		"--client-ca-file=" + c.pki.caCert,
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.pki.accountsPub,
		"--service-account-signing-key-file=" + c.pki.accountKey,
		// Nobody creates the default ServiceAccounts that this plugin asks for.
		"--disable-admission-plugins=ServiceAccount",
		"--endpoint-reconciler-type=none",
	}
	if c.cfg.EventTTL > 0 {
		args = append(args, "--event-ttl="+c.cfg.EventTTL.String())
	}
	if len(c.cfg.AdmissionPlugins) > 0 {
		args = append(args, "--enable-admission-plugins="+strings.Join(c.cfg.AdmissionPlugins, ","))
	}
	if c.cfg.AdmissionConfig != "" {
		args = append(args, "--admission-control-config-file="+c.cfg.AdmissionConfig)
	}
	return append(args, c.cfg.ExtraArgs...)
}
