// Package controlplane runs a real Kubernetes control plane for tests and the
// demo: etcd and kube-apiserver as child processes, built from this module's
// pinned versions, with RBAC on and certificates of their own, and the real
// kubectl beside them. There is no kubelet, scheduler or controller: a test
// creates the Pod and Node objects and sets their status itself, and the agent
// gets the ServiceAccount, the RBAC and nothing more than deploy/ gives it.
//
//	bin, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: "../..", Dir: "../../../bin/controlplane"})
//	cp, err := controlplane.Start(ctx, controlplane.Config{Binaries: bin, Dir: t.TempDir()})
//	defer cp.Stop()
//	account, err := cp.InstallAgent(ctx, "../../../deploy")
//	kubeconfig, err := cp.ServiceAccountKubeconfig(ctx, account)
//	// … run kube-nflog with --kubeconfig, create pods with cp.Client() …
//	out, err := cp.Kubectl(ctx, "describe", "pod", "-n", "shop", "api")
//
// The child processes end with this process, even when it is killed. Methods
// of a ControlPlane that start or stop the API server must not run at the same
// time as each other; all others may be called concurrently.
package controlplane
