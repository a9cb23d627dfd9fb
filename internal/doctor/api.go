package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// Cluster is an API server and the credentials for it.
type Cluster struct {
	url    string
	client *http.Client // authenticates
	// serviceAccount reports whether the credentials are those of a pod. A person may have
	// rights that the agent lacks.
	serviceAccount bool
}

// NewCluster returns a Cluster for the config. It returns nil for a nil config: there is no
// cluster then.
func NewCluster(cfg *rest.Config) (*Cluster, error) {
	if cfg == nil {
		return nil, nil //nolint:nilnil // doctor works without a cluster
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	url, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read the API server's address: %w", err)
	}
	return &Cluster{url: strings.TrimSuffix(url.String(), "/"), client: client, serviceAccount: cfg.BearerTokenFile != ""}, nil
}

// permission is a right that the agent needs at the API server.
type permission struct {
	verb, group, resource string
	status                Status // status of the finding if it is missing
	without               string // what does not work without it
}

func permissions() (all []permission) {
	const pods = "no address is known as a pod's, and the agent does not get ready"
	all = []permission{
		{"list", "", "pods", Problem, pods},
		{"watch", "", "pods", Problem, pods},
		{"create", "", "events", Problem, "no events are written"},
		{"patch", "", "events", Problem, "events are written once, and their counts stand still"},
	}
	for _, verb := range []string{"list", "watch"} {
		const addresses, reasons = " are told by their addresses alone", "events do not name the NetworkPolicies that deny; or run with --explain=false"
		all = append(all,
			permission{verb, "", "nodes", Note, "nodes" + addresses},
			permission{verb, "", "services", Note, "Services" + addresses},
			permission{verb, "networking.k8s.io", "networkpolicies", Note, reasons},
			permission{verb, "", "namespaces", Note, reasons},
		)
	}
	return all
}

// maxSkew is the largest difference between clocks for which the agent allows.
const maxSkew = 2 * time.Second

// manyPods is the number of pods from which on not every node should watch all of them.
const manyPods = 30_000

// podBytes is the approximate memory that the agent needs for a pod, see resolve.
const podBytes = 360

// apiServer checks the connection, the rights, and the number of pods.
func apiServer(ctx context.Context, cfg *Config) []Finding {
	const check = "api"
	if cfg.Cluster == nil {
		return []Finding{note(check, "run in a pod of the agent, or give --kubeconfig", "there is no cluster to ask: only this host was looked at")}
	}
	sent := time.Now()
	date, err := cfg.Cluster.date(ctx)
	if err != nil {
		return []Finding{problem(check, "look at the address, the network and the certificates: "+cfg.Cluster.url+"/readyz must answer",
			"the API server does not answer: %v", err)}
	}
	found := []Finding{ok(check, "the API server at %s answers", cfg.Cluster.url)}
	found = append(found, skew(date, sent, time.Now())...)
	found = append(found, cfg.Cluster.rights(ctx)...)
	return append(found, cfg.Cluster.pods(ctx))
}

// skew compares the server's clock, which has whole seconds, with this host's.
func skew(date, sent, received time.Time) []Finding {
	if date.IsZero() {
		return nil
	}
	var apart time.Duration
	switch {
	case date.Before(sent.Truncate(time.Second)):
		apart = sent.Sub(date)
	case date.After(received):
		apart = date.Sub(received)
	}
	if apart <= maxSkew {
		return []Finding{ok("skew", "this host's clock agrees with the API server's")}
	}
	return []Finding{problem("skew", "synchronise the clocks of the nodes and the control plane",
		"this host's clock is about %v apart from the API server's: a packet's time is compared with when pods started and ended", apart.Round(time.Second))}
}

// rights asks the API server for each permission of the agent.
func (c *Cluster) rights(ctx context.Context) []Finding {
	const check = "rights"
	var found []Finding
	for _, p := range permissions() {
		allowed, err := c.may(ctx, p)
		switch {
		case err != nil:
			return []Finding{problem(check, "look at the credentials: the service account's token or the kubeconfig's",
				"the API server does not say what is permitted: %v", err)}
		case !allowed:
			found = append(found, Finding{
				check, p.status, fmt.Sprintf("not permitted: %s %s; %s", p.verb, p.resource, p.without),
				fmt.Sprintf("let the ClusterRole of the agent %s %s, as deploy/base/rbac.yaml does", p.verb, p.resource),
			})
		}
	}
	if len(found) > 0 {
		return found
	}
	whose := "yours, not the agent's: run doctor in its pod for those"
	if c.serviceAccount {
		whose = "those of this pod's service account"
	}
	return []Finding{ok(check, "all %d permissions that the agent needs are there (%s)", len(permissions()), whose)}
}

// may asks with a SelfSubjectAccessReview.
func (c *Cluster) may(ctx context.Context, p permission) (bool, error) {
	type attributes struct {
		Verb     string `json:"verb"`
		Group    string `json:"group,omitempty"`
		Resource string `json:"resource"`
	}
	var review struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			ResourceAttributes attributes `json:"resourceAttributes"`
		} `json:"spec"`
		Status struct {
			Allowed bool `json:"allowed"`
		} `json:"status"`
	}
	review.APIVersion, review.Kind = "authorization.k8s.io/v1", "SelfSubjectAccessReview"
	review.Spec.ResourceAttributes = attributes{p.verb, p.group, p.resource}
	body, err := json.Marshal(review)
	if err != nil {
		return false, fmt.Errorf("encode an access review: %w", err)
	}
	_, err = c.call(ctx, http.MethodPost, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body, &review)
	return review.Status.Allowed, err
}

// pods counts the pods that the informer would keep.
func (c *Cluster) pods(ctx context.Context) Finding {
	const check = "pods"
	var list struct {
		Metadata struct {
			Remaining int `json:"remainingItemCount"`
		} `json:"metadata"`
		Items []json.RawMessage `json:"items"`
	}
	if _, err := c.call(ctx, http.MethodGet, "/api/v1/pods?limit=1", nil, &list); err != nil {
		return note(check, "see the findings above", "the pods were not counted: %v", err)
	}
	count := len(list.Items) + list.Metadata.Remaining
	if count > manyPods {
		return note(check, "run the agents with --pod-scope node --peer-lookup", "there are %d pods, which each agent watches", count)
	}
	return ok(check, "there are %d pods: an agent keeps about %d KiB of them", count, count*podBytes>>10)
}

// date sends a request that needs no rights, and returns the server's time, or the zero
// time if the answer has none.
func (c *Cluster) date(ctx context.Context) (time.Time, error) {
	header, err := c.call(ctx, http.MethodGet, "/version", nil, nil)
	if err != nil {
		return time.Time{}, err
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Time{}, nil //nolint:nilerr // an error here does not matter
	}
	return date, nil
}

// call sends a request and decodes the first 16 MiB of the answer into answer, if that is
// not nil.
func (c *Cluster) call(ctx context.Context, method, path string, body []byte, answer any) (http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("%s %s: %s", method, path, response.Status)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return response.Header, nil
}
