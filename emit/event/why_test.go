package event

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/policy"
)

// TestWhy shows why packets were dropped, cleaned, and as the last packets' explanation has it.
func TestWhy(t *testing.T) {
	s := newFakeServer()
	e := newTestSink(t, Config{}, s)
	front, back := pod("shop", "frontend-5b9", "10.0.0.5"), pod("shop", "api-7c4", "10.0.1.7")
	f := tcp(front, back, 8080, 12)
	e.Add(because(f, policy.Reason{Text: "not known yet"}))
	f.Prefix = "deny"
	e.Add(because(f, policy.Reason{Text: "denied by NetworkPolicy shop/a\x1b[2J"}))
	flush(t, e)
	var got []string
	for _, event := range s.list() {
		got = append(got, event.Message)
	}
	const why = ` on port 8080/TCP (NFLOG prefix "deny"): denied by NetworkPolicy shop/a` + "\ufffd[2J."
	want := []string{
		"Packet dropped when receiving traffic from shop/frontend-5b9 (10.0.0.5)" + why,
		"Packet dropped when sending traffic to shop/api-7c4 (10.0.1.7)" + why,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
