package flow_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
)

// One goroutine adds drops and exports what is due. Another one takes the windows.
func ExampleTable() {
	table := flow.NewTable(flow.Config{})
	d := decode.Drop{
		Prefix: "deny: ", Family: decode.IPv4, Protocol: decode.TCP, Length: 60, HasPorts: true, DestinationPort: 8080,
		Source: netip.MustParseAddr("10.0.0.5").As16(), Destination: netip.MustParseAddr("10.0.1.7").As16(),
	}
	for range 3 {
		d.Time = time.Now().UnixNano()
		table.Add(&d)
		table.Export(time.Now()) // in a program: after each read
	}
	if err := table.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	for w := range table.Windows() {
		for f := range w.Flows() { // f is valid until the next one
			fmt.Printf("%s%v > %v, port %d/%v: %d packets, %d bytes\n",
				f.Prefix, f.Source, f.Destination, f.DestinationPort, f.Protocol, f.Packets, f.Bytes)
		}
		w.Release()
	}
	// Output: deny: 10.0.0.5 > 10.0.1.7, port 8080/TCP: 3 packets, 180 bytes
}
