package resolve

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestPodLabels(t *testing.T) {
	o := madePod("api", "10.0.1.7")
	o.Labels = map[string]string{"tier": "back", "app": "api", "empty": "", "example.com/part-of": "shop"}
	always := corev1.ContainerRestartPolicyAlways
	port := func(name string, number int32, protocol corev1.Protocol) []corev1.ContainerPort {
		return []corev1.ContainerPort{{Name: name, ContainerPort: number, Protocol: protocol}}
	}
	o.Spec.Containers = []corev1.Container{
		{Ports: port("http", 8080, corev1.ProtocolTCP)}, {Ports: port("dns", 53, corev1.ProtocolUDP)},
		{Ports: port("", 9090, corev1.ProtocolTCP)}, {Ports: port("plain", 80, "")}, {Ports: port("http", 8080, corev1.ProtocolTCP)},
	}
	o.Spec.InitContainers = []corev1.Container{
		{Ports: port("setup", 1, corev1.ProtocolTCP)}, {Ports: port("mesh", 15001, corev1.ProtocolTCP), RestartPolicy: &always},
	}
	r := newResolver(t, Config{PodLabels: true}, o)
	e := r.Lookup(addr("10.0.1.7"), noon().Add(time.Minute))
	if diff := cmp.Diff(labels.Set(o.Labels), e.Labels.Set()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if want := PortSet("dns=53/UDP,http=8080/TCP,mesh=15001/TCP,plain=80/TCP"); e.Ports != want {
		t.Errorf("ports %q, want %q", e.Ports, want)
	}
	for _, tt := range []struct {
		protocol string
		port     uint16
		want     []string
	}{
		{"TCP", 8080, []string{"http"}}, {"UDP", 53, []string{"dns"}}, {"TCP", 53, nil}, {"TCP", 80, []string{"plain"}},
		{"TCP", 15001, []string{"mesh"}}, {"TCP", 1, nil}, {"TCP", 9090, nil},
	} {
		if got := e.Ports.NamesOf(tt.protocol, tt.port); !slices.Equal(got, tt.want) {
			t.Errorf("%d/%s is called %q, want %q", tt.port, tt.protocol, got, tt.want)
		}
	}
	if bare := newResolver(t, Config{}, o).Lookup(addr("10.0.1.7"), noon().Add(time.Minute)); bare.Labels != "" || bare.Ports != "" {
		t.Errorf("labels %q and ports %q are kept unasked", bare.Labels, bare.Ports)
	}
	if LabelSet("").Set() != nil || PortSet("").NamesOf("TCP", 80) != nil {
		t.Error("no labels or ports are some")
	}
}

// TestPodLabelsAreBounded checks that labels and ports are kept completely or not at all,
// because a policy may need any of them.
func TestPodLabelsAreBounded(t *testing.T) {
	tests := map[string]struct {
		change func(*corev1.Pod)
		cut    cuts
	}{
		"labels": {func(p *corev1.Pod) {
			p.Labels = map[string]string{}
			for i := range maxLabels + 1 {
				p.Labels[fmt.Sprint("l", i)] = ""
			}
		}, cutLabels},
		"long labels": {func(p *corev1.Pod) { p.Labels = map[string]string{"app": strings.Repeat("x", maxLabelText)} }, cutLabels},
		"ports": {func(p *corev1.Pod) {
			for i := range 50_000 {
				p.Spec.Containers[0].Ports = append(p.Spec.Containers[0].Ports, corev1.ContainerPort{Name: fmt.Sprint("p", i), ContainerPort: 1})
			}
		}, cutPorts},
		"neither": {func(*corev1.Pod) {}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := madePod("api", "10.0.1.7")
			o.Labels = map[string]string{"app": "api"}
			o.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}
			tt.change(o)
			r := newResolver(t, Config{PodLabels: true}, o)
			e := r.Lookup(addr("10.0.1.7"), noon().Add(time.Minute))
			if e.Partial != (tt.cut != 0) || (e.Labels == "") != (tt.cut&cutLabels != 0) || (e.Ports == "") != (tt.cut&cutPorts != 0) {
				t.Errorf("partial %v, labels %q, ports %q", e.Partial, e.Labels, e.Ports)
			}
			var lists []string
			if _, err := stripped(r.stripPod, func(list string) { lists = append(lists, list) })(o); err != nil {
				t.Fatal(err)
			}
			var want []string
			if tt.cut != 0 {
				want = []string{tt.cut.name()}
			}
			if !slices.Equal(lists, want) {
				t.Errorf("lists cut %q, want %q", lists, want)
			}
		})
	}
}

// newResolver returns a synced resolver that knows the pods.
func newResolver(t *testing.T, cfg Config, pods ...*corev1.Pod) *Resolver {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = aMinuteLater
	}
	r, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	watched(r.history, noon().UnixNano())
	proven(r.history, r.now())
	for _, o := range pods {
		r.set(nil, r.cfg.pod(o))
	}
	return r
}

// BenchmarkTraits reports how much memory the labels and ports of a pod need, by the number
// of pods that share them.
func BenchmarkTraits(b *testing.B) {
	const pods = 20_000
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // interned values need a second collection
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, sharing := range []int{1, 3, 10} {
		b.Run(fmt.Sprintf("sharing=%d", sharing), func(b *testing.B) {
			for b.Loop() {
				var kept [2][]*pod
				var grown [2]uint64
				for with := range kept {
					cfg := Config{PodLabels: with == 1}
					before := heap()
					for i := range pods {
						o := madePod(fmt.Sprintf("frontend-7c4b9d6f5-%05d", i), numbered(i).String())
						o.Labels = map[string]string{
							"app.kubernetes.io/name": "frontend", "app.kubernetes.io/instance": fmt.Sprintf("shop-%d", i/sharing),
							"app.kubernetes.io/component": "web", "pod-template-hash": fmt.Sprintf("%09x", i/sharing),
						}
						o.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}
						kept[with] = append(kept[with], cfg.pod(o))
					}
					grown[with] = heap() - before
				}
				runtime.KeepAlive(kept)
				b.ReportMetric(float64(grown[1])/pods, "B/pod")
				b.ReportMetric((float64(grown[1])-float64(grown[0]))/pods, "more-B/pod")
			}
		})
	}
}

// TestNumberOf looks up a port by its name and protocol.
func TestNumberOf(t *testing.T) {
	s := PortSet("dns=53/TCP,dns=5353/UDP,http=8080/TCP")
	for text, want := range map[string]uint16{"TCP http": 8080, "UDP dns": 5353, "TCP dns": 53, "UDP http": 0, "TCP htt": 0, "TCP ": 0} {
		protocol, name, _ := strings.Cut(text, " ")
		if got := s.NumberOf(protocol, name); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
