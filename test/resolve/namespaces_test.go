package resolve

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// annotate sets the annotation kube-nflog/events of the namespace; "" removes it.
func annotate(t *testing.T, value string) {
	t.Helper()
	quoted := "null"
	if value != "" {
		quoted = fmt.Sprintf("%q", value)
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"kube-nflog/events":%s}}}`, quoted)
	_, err := shared.Client().CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEventsDisabled changes a namespace's annotation while the resolver runs. It applies
// to pods without their own annotation.
func TestEventsDisabled(t *testing.T) {
	pods := map[string]string{"": "10.9.0.1", "true": "10.9.0.2", "false": "10.9.0.3"}
	for value, address := range pods {
		p := controlplane.Pod{Name: "says" + value, Addresses: []netip.Addr{addr(address)}}
		if value != "" {
			p.Annotations = map[string]string{"kube-nflog/events": value}
		}
		create(t, p)
	}
	annotate(t, "false")
	follows, ignores := start(t, resolve.Config{NamespaceEvents: true}), start(t, resolve.Config{})
	disabled := func(r *resolve.Resolver, want map[string]bool) func() string {
		return func() string {
			for value, address := range pods {
				got := r.Lookup(addr(address), time.Now())
				if got.Kind != resolve.Pod || got.EventsDisabled != want[value] {
					return fmt.Sprintf("the pod that says %q resolves to %+v, want its events disabled: %t", value, got, want[value])
				}
			}
			return ""
		}
	}
	alone := map[string]bool{"": false, "true": false, "false": true}
	silent := map[string]bool{"": true, "true": false, "false": true}
	// This must be known at the start, not only later.
	if wrong := disabled(follows, silent)(); wrong != "" {
		t.Error(wrong)
	}
	for _, step := range []struct {
		says string
		want map[string]bool
	}{{"true", alone}, {"false", silent}, {"", alone}} {
		annotate(t, step.says)
		until(t, disabled(follows, step.want))
		until(t, disabled(ignores, alone))
	}
}
