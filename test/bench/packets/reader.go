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
	// rest is how long a reader may take until its work is really done.
	rest time.Duration
	// received returns how many of the offered packets a process of the reader has
	// received, given how many datagrams its socket dropped. It may end the process.
	received func(ctx context.Context, l *lab, p *process, offered, drops uint64) (uint64, error)
}

// The kernel keeps a lone packet for at most 100 ms. kube-nflog hands over a window of
// flows after a second.
const (
	restOfSocket = 300 * time.Millisecond
	restOfWindow = restOfSocket + time.Second
)

// readers returns the readers with the given names, or all readers if no names are
// given. If ulogd2 is not installed it is left out, and skipped says so.
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

// own is a reader that the program in the folder reader implements.
func (o *options) own(name, mode string) reader {
	return reader{
		name: name, rest: restOfSocket, received: printedReceived,
		command: []string{o.binary("reader"), mode, strconv.Itoa(group)},
	}
}

// printedReceived ends the process and reads the count that it prints.
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
