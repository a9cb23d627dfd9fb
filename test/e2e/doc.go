// Package e2e tests the installation as a user makes it, on a real cluster: it
// installs deploy/ with the image given, starts two pods on one node, denies
// traffic there with real NFLOG and DROP rules, expects the events that kubectl
// shows to count exactly the packets that the rules counted, and uninstalls
// without residue. It changes, upgrades and rolls back installations by kustomize
// and by Helm. Everything is done with the real kubectl and helm.
//
// The tests have the build tag e2e ("make e2e" sets it) and these settings, all
// from the environment:
//
//	KUBECONFIG      the cluster, with an administrator's rights (required)
//	E2E_IMAGE       the agent's image, which the nodes have or can pull (required)
//	E2E_POD_IMAGE   the application pods' image (required)
//	E2E_POD_SERVE   its arguments that serve TCP on port 8080; default "serve :8080"
//	E2E_POD_DIAL    its command that connects to the ADDRESS:PORT appended, and
//	                fails when it cannot; default "/rcnet tcp"
//	E2E_NODE        the node to use; default the first one listed
//	E2E_NODE_EXEC   the command that runs another as root on that node; default
//	                none, for a node that is the local host
//	KUBECTL         kubectl's path; default the one in PATH
//	HELM            helm's path; default the one in PATH ("make e2e" builds one)
//
// The node needs iptables. With kind, for instance:
//
//	kind load docker-image kube-nflog:dev
//	E2E_IMAGE=kube-nflog:dev E2E_NODE_EXEC='docker exec kind-control-plane' \
//	E2E_POD_IMAGE=AGNHOST E2E_POD_SERVE='netexec --http-port=8080' \
//	E2E_POD_DIAL='/agnhost connect --timeout=2s' make e2e
//
// where AGNHOST is Kubernetes' agnhost image.
//
// The tests refuse a cluster that has a namespace kube-nflog already, and remove
// what they made when they fail, too.
package e2e
