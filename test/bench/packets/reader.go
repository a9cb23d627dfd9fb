package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// The readers' names.
const (
	kubeNflog = "kube-nflog"
	newPacket = "go-nflog+NewPacket"
	parser    = "go-nflog+DecodingLayerParser"
	logemu    = "ulogd2-LOGEMU"
	jsonLines = "ulogd2-JSON"
	pcap      = "ulogd2-PCAP"
	floor     = "floor"
)

func readerNames() []string {
	return []string{kubeNflog, newPacket, parser, logemu, jsonLines, pcap, floor}
}

// reader is one of the programs that are measured.
type reader struct {
	name    string
	command []string
	// rest is for how long a reader that is done may still have work to come.
	rest time.Duration
	// received returns how many packets a process of it has received, of as
	// many as were offered and with as many datagrams dropped at its socket.
	// The process may have ended then.
	received func(ctx context.Context, l *lab, p *process, offered, drops uint64) (uint64, error)
}

// The kernel keeps a lone packet for 100 ms at most; kube-nflog hands a window
// of flows on after a second.
const (
	restOfSocket = 300 * time.Millisecond
	restOfWindow = restOfSocket + time.Second
)

// readers returns those of the given names, all if there are none. ulogd2 is
// not among all where it is not installed, and skipped says so.
func readers(o *options) (found []reader, skipped []string, err error) {
	all := []reader{
		{
			name: kubeNflog, rest: restOfWindow, received: scrapeReceived,
			command: []string{o.binary("kube-nflog"), "run", "--events=false", "--listen", listen, "--group", strconv.Itoa(group)},
		},
		o.own(newPacket, "newpacket"), o.own(parser, "parser"), o.own(floor, "floor"),
	}
	ulogd, err := ulogdReaders()
	if err != nil {
		skipped = append(skipped, err.Error())
	}
	found, err = chosen(o.readers, append(all, ulogd...), func(r reader) string { return r.name })
	if err != nil {
		return nil, nil, fmt.Errorf("readers: %w %v", err, skipped)
	}
	return found, skipped, nil
}

// own is a reader of the program beside this one.
func (o *options) own(name, mode string) reader {
	return reader{
		name: name, rest: restOfSocket, received: printedReceived,
		command: []string{o.binary("reader"), mode, strconv.Itoa(group)},
	}
}

// printedReceived ends the process and reads what it prints then.
func printedReceived(_ context.Context, _ *lab, p *process, _, _ uint64) (uint64, error) {
	if _, err := p.stop(); err != nil {
		return 0, err
	}
	var printed struct{ Packets uint64 }
	if err := json.Unmarshal(p.stdout.Bytes(), &printed); err != nil {
		return 0, fmt.Errorf("read what %s printed: %w", p.cmd, err)
	}
	return printed.Packets, nil
}
