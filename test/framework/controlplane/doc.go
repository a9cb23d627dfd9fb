// Package controlplane runs a real Kubernetes control plane for tests and the demo: etcd
// and kube-apiserver as child processes, with RBAC and their own certificates, and the
// real kubectl. All are built from the versions that this module pins.
//
// There is no kubelet, scheduler or controller. A test creates Pod and Node objects and
// sets their status itself. The agent gets only the ServiceAccount and the RBAC of
// deploy/.
//
//	bin, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: "../..", Dir: "../../../bin/controlplane"})
//	cp, err := controlplane.Start(ctx, controlplane.Config{Binaries: bin, Dir: t.TempDir()})
//	defer cp.Stop()
//	account, err := cp.InstallAgent(ctx, "../../../deploy")
//	kubeconfig, err := cp.ServiceAccountKubeconfig(ctx, account)
//	// … run kube-nflog with --kubeconfig, create pods with cp.Client() …
//	out, err := cp.Kubectl(ctx, "describe", "pod", "-n", "shop", "api")
//
// The child processes end with this process, even if it is killed. All methods of a
// ControlPlane may be called concurrently, except for those that start or stop the API
// server: call these one after another.
package controlplane
