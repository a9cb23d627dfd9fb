package explain

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/policy"
)

func TestQuestion(t *testing.T) {
	pod, outside := endName{kind: "Pod", namespace: "shop", name: "api"}, endName{addr: netip.MustParseAddr("2001:db8::1")}
	tests := []struct {
		from, to, port string
		want           question
		wrong          []string // parts of the error
	}{
		{"2001:db8::1", "shop/api", "8080/tcp", question{outside, pod, "TCP", 8080}, nil},
		{"shop/api", "2001:db8::1", "53/UDP", question{pod, outside, "UDP", 53}, nil},
		{"shop/api", "shop/api", "443", question{pod, pod, "TCP", 443}, nil},
		{"", "api", "http", question{}, []string{"--from: \"\"", "--to: \"api\"", "--port: \"http\""}},
		{"shop/", "/api", "0/TCP", question{}, []string{"--from", "--to", "--port"}},
		{"a/b/c", "shop/api", "1/ICMP", question{}, []string{"--from", "--port"}},
		{"shop/api", "shop/api", "65536/TCP", question{}, []string{"--port"}},
		{"external:10.0.0.1", "external:10.0.0.2", "1/TCP", question{}, []string{"one of them must be a pod"}},
		{"deploy/web", "shop/svc/api", "80", question{
			endName{kind: "Deployment", name: "web"}, endName{kind: "Service", namespace: "shop", name: "api"}, "TCP", 80}, nil},
		{"external:2001:db8::1", "pod/api", "80", question{
			endName{addr: outside.addr, external: true}, endName{kind: "Pod", name: "api"}, "TCP", 80}, nil},
		{"svc/api", "shop/api", "80", question{}, []string{"a Service opens no connections"}},
		{"external:shop/api", "shop/svc/", "80", question{}, []string{"--from", "--to"}},
	}
	for _, tt := range tests {
		got, err := (&Config{From: tt.from, To: tt.to, Port: tt.port}).parse()
		if got != tt.want || (err != nil) != (tt.wrong != nil) {
			t.Errorf("%s → %s %s: %+v, %v; want %+v", tt.from, tt.to, tt.port, got, err, tt.want)
		}
		for _, w := range tt.wrong {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s → %s %s: error %v, want one about %s", tt.from, tt.to, tt.port, err, w)
			}
		}
	}
}

func TestPodEnd(t *testing.T) {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api", Labels: map[string]string{"app": "api"}},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{
			{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}},
		}},
	}
	want := policy.End{Kind: policy.Pod, Namespace: "shop", Name: "api", Labels: p.Labels, NodeName: "n1"}
	got := podEnds(p)[0]
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}), cmpopts.IgnoreFields(policy.End{}, "Ports")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !slices.Equal(got.Ports.NamesOf("TCP", 8080), []string{"http"}) {
		t.Error("its port is not known by its name")
	}
	p.Spec.HostNetwork, p.Status.PodIP = true, "192.168.0.1"
	if got := podEnds(p)[0]; got.Kind != policy.Node || got.Addr.String() != "192.168.0.1" {
		t.Errorf("on the host's network it is %+v", got)
	}
}

// TestEndName names ends, also a pod that has no address yet.
func TestEndName(t *testing.T) {
	address := netip.MustParseAddr("10.0.1.7")
	for want, e := range map[string]policy.End{
		"10.0.1.7":                  {Addr: address},
		"shop/api (10.0.1.7)":       {Kind: policy.Pod, Namespace: "shop", Name: "api", Addr: address},
		"shop/api (no address yet)": {Kind: policy.Pod, Namespace: "shop", Name: "api"},
	} {
		if got := endText(&e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
