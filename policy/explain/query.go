package explain

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// query returns the flow as a query to the policies. ok is false if they do not apply:
// NetworkPolicies apply to packets of the end that opens a connection, not to answers.
func (e *Explainer) query(f *flow.Flow, source, destination *resolve.Endpoint) (query policy.Flow, ok bool) {
	if f.Overflow || answers(f) || source.Partial || destination.Partial {
		return policy.Flow{}, false
	}
	return policy.Flow{
		Source: e.end(source), Destination: e.end(destination),
		Protocol: corev1.Protocol(f.Protocol.String()), Port: f.DestinationPort,
	}, true
}

// answers reports whether the packets answer others, or may do so. In the middle of a TCP
// connection the end with the lower port counts as the server.
func answers(f *flow.Flow) bool {
	const echo4, echo6 = 8, 128
	switch f.Protocol {
	case decode.TCP:
		opens := f.TCPFlags&decode.SYN != 0 && f.TCPFlags&decode.ACK == 0
		asks := f.TCPFlags&decode.SYN == 0 && f.SourcePort > f.DestinationPort
		return !f.HasPorts || f.TCPFlags&decode.RST != 0 || !opens && !asks
	case decode.UDP, decode.SCTP:
		return !f.HasPorts
	case decode.ICMP:
		return !f.HasICMP || f.ICMPType != echo4
	case decode.ICMPv6:
		return !f.HasICMP || f.ICMPType != echo6
	}
	return false
}

func (e *Explainer) end(ep *resolve.Endpoint) policy.End {
	end := policy.End{Addr: ep.IP}
	switch ep.Kind {
	case resolve.Pod:
		end.Kind, end.Namespace, end.Name = policy.Pod, ep.Namespace, ep.Name
		end.Labels, end.Ports, end.NodeName = ep.Labels.Set(), ep.Ports, ep.NodeName
	case resolve.Node:
		end.Kind, end.NodeName = policy.Node, ep.Name
	case resolve.Service:
		end.Kind = policy.Service
	case resolve.External:
		end.Kind = policy.Outside
		if e.cfg.PartialPods {
			end.Kind = policy.Unknown
		}
	default:
		end.Kind = policy.Unknown
	}
	return end
}
