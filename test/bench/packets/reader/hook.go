package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// throughHook receives with go-nflog as its documentation shows, until ctx ends. All
// settings that go-nflog offers have the same values as for the other readers.
func throughHook(ctx context.Context, group uint16, decode func(payload []byte) error) (uint64, error) {
	nf, err := gonflog.Open(&gonflog.Config{
		Group: group, Copymode: gonflog.CopyPacket, Bufsize: copyRange, Flags: gonflog.FlagSeq,
		QThresh: threshold, Timeout: flushTimeout,
	})
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	if err := nf.Con.SetReadBuffer(receiveBuffer); err != nil {
		return 0, errors.Join(fmt.Errorf("set read buffer: %w", err), nf.Close())
	}
	var packets atomic.Uint64
	failed := make(chan error, 1)
	hook := func(a gonflog.Attribute) int {
		packets.Add(1)
		if err := decode(*a.Payload); err != nil {
			failed <- fmt.Errorf("decode: %w", err)
			return 1
		}
		return 0
	}
	onError := func(err error) int {
		switch {
		case errors.Is(err, unix.ENOBUFS): // some are lost, the next can be read
			return 0
		case ctx.Err() == nil:
			failed <- fmt.Errorf("receive: %w", err)
		}
		return 1
	}
	hooked, unhook := context.WithCancel(ctx)
	defer unhook()
	if err := nf.RegisterWithErrorFunc(hooked, hook, onError); err != nil {
		return 0, errors.Join(fmt.Errorf("register: %w", err), nf.Close())
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	unhook() // Close waits for it
	return packets.Load(), errors.Join(err, nf.Close())
}

// newPacket decodes into a packet with layers of its own. The payload is not
// kept, so it need not be copied.
func newPacket() func([]byte) error {
	return func(payload []byte) error {
		packet := gopacket.NewPacket(payload, layers.LayerTypeIPv4, gopacket.NoCopy)
		if packet.NetworkLayer() == nil || packet.TransportLayer() == nil {
			return fmt.Errorf("layers are missing: %v", packet)
		}
		return nil
	}
}

// parser decodes into layers that it reuses.
func parser() func([]byte) error {
	var ip layers.IPv4
	var udp layers.UDP
	var payload gopacket.Payload
	p := gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &ip, &udp, &payload)
	p.IgnoreUnsupported = true // as kube-nflog does
	var decoded []gopacket.LayerType
	return func(b []byte) error { return p.DecodeLayers(b, &decoded) }
}
