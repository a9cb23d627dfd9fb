// Package netlab builds networks out of real kernel network namespaces: a node that
// routes, and pods and outside hosts on veth pairs, with IPv4 and IPv6. It sends exact
// numbers of packets through them.
//
// Everything happens inside namespaces that Run creates for this process. The machine's
// own interfaces, rules and processes are never changed. The namespaces disappear with
// the process, however it ends. Root is not needed if the kernel lets users create user
// namespaces. If the machine does not allow a lab, Run returns an *UnsupportedError that
// says what is missing.
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
// Methods may be called concurrently, also on the same namespace. Call Close when nothing
// else uses the namespace.
package netlab
