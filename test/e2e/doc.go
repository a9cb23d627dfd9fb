// Package e2e tests an installation on a real cluster, with the real kubectl and
// helm, as a user does it:
//
//  1. It installs deploy/ with the given image.
//  2. It starts two pods on one node, and denies traffic there with real NFLOG and
//     DROP rules.
//  3. It expects that the events in kubectl's output count exactly the packets that
//     the rules counted.
//  4. It uninstalls, and expects that nothing is left.
//
// It also changes, upgrades and rolls back installations of kustomize and Helm.
//
// The tests have the build tag e2e, which "make e2e" sets. They read these variables:
//
//	KUBECONFIG      the cluster, with an administrator's rights (required)
//	E2E_IMAGE       the agent's image, which the nodes have or can pull (required)
//	E2E_POD_IMAGE   the application pods' image (required)
//	E2E_POD_SERVE   arguments of that image to serve TCP on port 8080; default
//	                "serve :8080"
//	E2E_POD_DIAL    command in that image that connects to ADDRESS:PORT, its last
//	                argument, and fails if it cannot; default "/rcnet tcp"
//	E2E_NODE        the node to use; default: the first one in the list
//	E2E_NODE_EXEC   prefix that runs a command as root on that node; default: none,
//	                because the node is the local host
//	KUBECTL         path of kubectl; default: the one in PATH
//	HELM            path of helm; default: the one in PATH ("make e2e" builds one)
//
// The node needs iptables. An example with kind, where AGNHOST is Kubernetes' agnhost
// image:
//
//	kind load docker-image kube-nflog:dev
//	E2E_IMAGE=kube-nflog:dev E2E_NODE_EXEC='docker exec kind-control-plane' \
//	E2E_POD_IMAGE=AGNHOST E2E_POD_SERVE='netexec --http-port=8080' \
//	E2E_POD_DIAL='/agnhost connect --timeout=2s' make e2e
//
// The tests refuse a cluster that already has a namespace kube-nflog. They remove what
// they made, also if they fail.
package e2e
