// Package netlab builds networks out of real kernel network namespaces: a node
// that routes, pods and outside hosts on veth pairs, IPv4 and IPv6, and sends
// exact numbers of packets through them.
//
// Everything happens inside namespaces that Run made for this process, so the
// machine's own interfaces, rules and processes are never touched, and all of
// it vanishes with the process, however it ends. Root is not needed where the
// kernel lets users make user namespaces; where it does not, Run's error is an
// *UnsupportedError that says what is missing.
//
//	func TestMain(m *testing.M) {
//		code, err := netlab.Run(build, func() int { return m.Run() })
//		…
//	}
//
//	node, err := netlab.NewNode("node-1", netip.MustParseAddr("10.1.0.1"))
//	client, err := node.Attach("client", netip.MustParseAddr("10.0.0.5"))
//	api, err := node.Attach("api", netip.MustParseAddr("10.0.0.7"))
//	// … rules in node, e.g. node.Command(ctx, "iptables", …) …
//	err = client.Send(netlab.Packet{Source: …, Destination: …, Protocol: netlab.TCP, DestinationPort: 8080}, 10)
//
// Methods may be called concurrently, on one namespace too; Close only when
// nothing else uses it.
package netlab
