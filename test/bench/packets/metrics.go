package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// listen is kube-nflog's own address, in the node's namespace.
const listen = "127.0.0.1:9090"

// scrapeReceived reads kube-nflog's metrics. It fails if they do not account for every
// packet.
func scrapeReceived(ctx context.Context, l *lab, _ *process, offered, drops uint64) (uint64, error) {
	m, err := l.scrape(ctx)
	if err != nil {
		return 0, err
	}
	received, folded := m["kube_nflog_packets_received_total"], m["kube_nflog_packets_folded_total"]
	lost, overruns := m["kube_nflog_packets_lost_total"], m["kube_nflog_socket_overruns_total"]
	if received != folded || received+lost > offered {
		return 0, fmt.Errorf("kube-nflog's counters disagree: %d offered, %d received, %d folded, %d lost", offered, received, folded, lost)
	}
	if (drops > 0) != (overruns > 0) {
		return 0, fmt.Errorf("kube-nflog's counters disagree with the kernel's: %d overruns, %d datagrams dropped", overruns, drops)
	}
	return received, nil
}

// scrape returns kube-nflog's counters, each summed up over its labels.
func (l *lab) scrape(ctx context.Context) (map[string]uint64, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: l.dial}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	sums := make(map[string]uint64)
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			sums[name] += uint64(metric.GetCounter().GetValue())
		}
	}
	return sums, nil
}

func (l *lab) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = l.node.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
