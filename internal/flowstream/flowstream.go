// Package flowstream lets clients follow a running agent's flows over HTTP. An agent
// answers Path with JSON lines, one for each flow and window, live. Open requests them. A
// line that is no flow is a Missed or an Ended.
package flowstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Path is the path for following an agent's flows.
const Path = "/flows"

// Missed is a line that counts flows for which a reader was too slow.
type Missed struct {
	Flows uint64 `json:"missed"`
}

// Ended is the last line if an agent ends a reader.
type Ended struct {
	Why string `json:"ended"`
}

// RefusedError is the answer of an agent that cannot be followed now.
type RefusedError struct{ error }

// Open requests the flows of the agent at the address.
func Open(ctx context.Context, address string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+Path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("--agent-address %s: %w", address, err)
	}
	// The environment's proxy is not used: the agent is on this host.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		_ = response.Body.Close() // only read
		err := fmt.Errorf("http://%s%s: %s: %q", address, Path, response.Status, strings.TrimSpace(string(text)))
		if response.StatusCode == http.StatusInternalServerError || response.StatusCode == http.StatusServiceUnavailable {
			err = RefusedError{err}
		}
		return nil, err
	}
	return response.Body, nil
}
