package resolve

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// LabelSet is a pod's labels in the form of a selector, sorted by key: "app=api,tier=back".
type LabelSet string

// Set returns the labels as a new map, nil for none.
func (s LabelSet) Set() labels.Set {
	if s == "" {
		return nil
	}
	set := make(labels.Set, strings.Count(string(s), ",")+1)
	for label := range strings.SplitSeq(string(s), ",") {
		key, value, _ := strings.Cut(label, "=")
		set[key] = value
	}
	return set
}

// PortSet is a pod's container ports that have names, sorted: "dns=53/UDP,http=8080/TCP".
type PortSet string

// NamesOf returns the containers' names of that port, nil for none.
func (s PortSet) NamesOf(protocol string, port uint16) []string {
	if s == "" {
		return nil
	}
	var names []string
	want := portText("", protocol, port)
	for has := range strings.SplitSeq(string(s), ",") {
		if name, ok := strings.CutSuffix(has, want); ok {
			names = append(names, name)
		}
	}
	return names
}

// NumberOf returns the port of that name, 0 if there is none.
func (s PortSet) NumberOf(protocol, name string) uint16 {
	for has := range strings.SplitSeq(string(s), ",") {
		if text, ok := strings.CutPrefix(has, name+"="); ok {
			if number, ok := strings.CutSuffix(text, "/"+protocol); ok {
				n, _ := strconv.ParseUint(number, 10, 16) // 0 if it is no number
				return uint16(n)
			}
		}
	}
	return 0
}

func portText(name, protocol string, port uint16) string {
	return name + "=" + strconv.Itoa(int(port)) + "/" + protocol
}

// podLabels holds what policies need and what the pods of a workload have in common. Pods with
// equal labels and ports share one copy.
type podLabels struct {
	labels LabelSet
	ports  PortSet
}

// given returns the pod's labels and ports, empty if they are not kept.
func (p *pod) given() podLabels {
	if p.podLabels == (unique.Handle[podLabels]{}) {
		return podLabels{}
	}
	return p.podLabels.Value()
}

// pod keeps what the configuration needs of o. If there are too many labels or ports it
// keeps none, because a policy's selector may need those that would be left out.
func (c *Config) pod(o *corev1.Pod) *pod {
	p := newPod(o, c.IdentifierLabel)
	if !c.PodLabels {
		return p
	}
	var t podLabels
	if tooManyLabels(o.Labels) {
		p.cuts |= cutLabels
	} else {
		t.labels = LabelSet(labels.Set(o.Labels).String())
	}
	ports, whole := namedPorts(o, maxPorts)
	if !whole {
		p.cuts |= cutPorts
	}
	t.ports = ports
	p.podLabels = unique.Make(t)
	return p
}

func tooManyLabels(of map[string]string) bool {
	if len(of) > maxLabels {
		return true
	}
	text := 0
	for key, value := range of {
		text += len(key) + len(value)
	}
	return text > maxLabelText
}

// PortsOf returns the named ports of the containers, including sidecars.
func PortsOf(o *corev1.Pod) PortSet {
	ports, _ := namedPorts(o, math.MaxInt)
	return ports
}

// namedPorts is like PortsOf, or returns false and no ports if there are more than limit.
func namedPorts(o *corev1.Pod, limit int) (set PortSet, whole bool) {
	var ports []string
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.Name == "" || len(ports) > limit {
				continue
			}
			protocol := p.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			ports = append(ports, portText(p.Name, string(protocol), uint16(p.ContainerPort)))
		}
	}
	for i := range o.Spec.Containers {
		add(&o.Spec.Containers[i])
	}
	for i := range o.Spec.InitContainers {
		c := &o.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	if len(ports) > limit {
		return "", false
	}
	slices.Sort(ports)
	return PortSet(strings.Join(slices.Compact(ports), ",")), true
}
