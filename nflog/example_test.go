package nflog_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/kube-nflog/kube-nflog/nflog"
)

// A Reader is read in a loop until it is stopped. It binds a failed socket again by
// itself. Needs CAP_NET_ADMIN, and a rule that logs to group 100.
func ExampleReader() {
	r, err := nflog.Open(nflog.Config{Group: 100}, slog.Default())
	if err != nil {
		fmt.Println(err) // says what to do
		return
	}
	time.AfterFunc(time.Minute, r.Stop)
	for {
		count, err := r.Read(time.Time{}, func(p *nflog.Packet) {
			fmt.Printf("%s: %d bytes\n", p.Prefix, len(p.Payload)) // p is valid only here
		})
		if count.Lost > 0 {
			fmt.Println(count.Lost, "packets were lost before this datagram")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			break
		}
	}
	if err := r.Close(); err != nil {
		fmt.Println(err)
	}
}
