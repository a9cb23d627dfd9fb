package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config says what Start runs.
type Config struct {
	Binaries Binaries
	// Dir gets certificates, kubeconfigs, logs and etcd's data. It is created if it is
	// missing, and never removed.
	Dir string
	// Address is where the API server listens; the zero value means 127.0.0.1.
	// etcd always listens on 127.0.0.1.
	Address netip.Addr
	// EventTTL is the lifetime of events; 0 for the API server's default.
	EventTTL time.Duration
	// AdmissionPlugins are switched on in addition to the defaults.
	AdmissionPlugins []string
	// AdmissionConfig is the path of an AdmissionConfiguration, "" for none.
	AdmissionConfig string
	// ExtraArgs are appended to kube-apiserver's command line.
	ExtraArgs []string
}

// ControlPlane is a running etcd and kube-apiserver.
type ControlPlane struct {
	cfg        Config
	pki        pki
	server     netip.AddrPort
	etcdClient netip.AddrPort
	etcdPeer   netip.AddrPort
	etcd       *process
	apiServer  *process // nil while stopped
	kubeconfig string
	rest       *rest.Config
	client     *kubernetes.Clientset
}

// Start runs etcd and kube-apiserver. It returns when the API server is ready or ctx
// ends. ctx limits only the start; Stop ends the processes.
func Start(ctx context.Context, cfg Config) (*ControlPlane, error) {
	if !cfg.Address.IsValid() {
		cfg.Address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	c := &ControlPlane{cfg: cfg}
	if err := c.prepare(ctx); err != nil {
		return nil, fmt.Errorf("prepare the control plane: %w", err)
	}
	var err error
	c.etcd, err = startProcess("etcd", cfg.Binaries.Etcd, c.etcdArgs(), c.LogPath("etcd"))
	if err != nil {
		return nil, err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// prepare chooses ports and writes certificates and the administrator's
// kubeconfig.
func (c *ControlPlane) prepare(ctx context.Context) error {
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return err
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	for addr, port := range map[*netip.AddrPort]netip.Addr{
		&c.server: c.cfg.Address, &c.etcdClient: loopback, &c.etcdPeer: loopback,
	} {
		var err error
		if *addr, err = freePort(ctx, port); err != nil {
			return err
		}
	}
	var err error
	if c.pki, err = newPKI(c.cfg.Dir, c.cfg.Address); err != nil {
		return err
	}
	c.kubeconfig = filepath.Join(c.cfg.Dir, "admin.kubeconfig")
	if err := c.writeKubeconfig(c.kubeconfig, adminUser(c.pki)); err != nil {
		return err
	}
	if c.rest, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return err
	}
	// Tests create thousands of objects; the client's default is 5 a second.
	c.rest.QPS, c.rest.Burst = 2000, 4000
	c.client, err = kubernetes.NewForConfig(c.rest)
	return err
}

// freePort returns a port of addr that is free now.
func freePort(ctx context.Context, addr netip.Addr) (netip.AddrPort, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("choose a port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	if err := l.Close(); err != nil {
		return netip.AddrPort{}, fmt.Errorf("choose a port: %w", err)
	}
	return netip.AddrPortFrom(addr, port), nil
}

// Stop ends the API server and etcd. Dir stays.
func (c *ControlPlane) Stop() error {
	err := c.StopAPIServer()
	if c.etcd != nil {
		err = errors.Join(err, c.etcd.stop())
		c.etcd = nil
	}
	return err
}

// URL returns the API server's address, such as "https://127.0.0.1:12345".
func (c *ControlPlane) URL() string { return "https://" + c.server.String() }

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *ControlPlane) Kubeconfig() string { return c.kubeconfig }

// RESTConfig returns a copy of the administrator's client configuration.
func (c *ControlPlane) RESTConfig() *rest.Config { return rest.CopyConfig(c.rest) }

// Client returns the administrator's client.
func (c *ControlPlane) Client() *kubernetes.Clientset { return c.client }

// LogPath returns the path of the log file of "etcd" or "kube-apiserver".
func (c *ControlPlane) LogPath(name string) string {
	return filepath.Join(c.cfg.Dir, name+".log")
}
