// Command reader is a reader that the benchmark compares kube-nflog with. It receives the
// packets of one NFLOG group, and handles them as the first argument says. On SIGTERM it
// prints how many packets there were.
//
//	reader floor|newpacket|parser GROUP
//
// floor receives packets as kube-nflog does and throws them away. newpacket and parser
// receive through go-nflog's hook, and decode with gopacket's NewPacket or
// DecodingLayerParser.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// Settings that all readers have in common, kube-nflog included.
const (
	copyRange     = 128
	threshold     = 500 // packets in a datagram at most
	flushTimeout  = 10  // in 1/100 s
	receiveBuffer = 16 << 20
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: reader floor|newpacket|parser GROUP, got %q", args)
	}
	group, err := strconv.ParseUint(args[1], 10, 16)
	if err != nil {
		return fmt.Errorf("group: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	var packets uint64
	switch args[0] {
	case "floor":
		packets, err = receiveOnly(ctx, uint16(group))
	case "newpacket":
		packets, err = throughHook(ctx, uint16(group), newPacket())
	case "parser":
		packets, err = throughHook(ctx, uint16(group), parser())
	default:
		return fmt.Errorf("unknown reader %q", args[0])
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]uint64{"packets": packets})
}
