package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBars(t *testing.T) {
	costs := map[string]*result{
		fast + kubeNflog: {Median: 1}, fast + floor: {Median: 0.625}, fast + newPacket: {Median: 6.9},
		fast + logemu: {Median: 6}, fast + pcap: {Median: 0.5},
		flood + kubeNflog:      {Median: 2, MostLost: 3},
		fastFlows + kubeNflog:  {Median: 1.6, Peak: 49 << 10},
		floodFlows + kubeNflog: {Median: 3, Peak: 48 << 10},
		fastRandom + kubeNflog: {Median: 1.25, Peak: 24 << 10},
	}
	var got []string
	for _, b := range bars(func(scenario, reader string) *result { return costs[scenario+reader] }, time.Millisecond, 2*time.Minute) {
		got = append(got, b.String())
	}
	want := []string{
		"met           50000/s: CPU per packet in that of floor = 1.6, bar ≤ 1.6",
		"NOT MET       50000/s: CPU per packet in that of go-nflog+NewPacket = 0.145, bar ≤ 0.1429",
		"met           50000/s: CPU per packet in that of ulogd2-LOGEMU = 0.167, bar ≤ 0.1667",
		"not measured  50000/s: CPU per packet in that of ulogd2-JSON ≤ 0.04",
		"NOT MET       50000/s: CPU per packet in that of ulogd2-PCAP = 2, bar ≤ 1",
		"not measured  flood: CPU per packet in that of floor ≤ 1.6",
		"NOT MET       flood: packets lost in the worst round = 3, bar ≤ 0",
		"NOT MET       50000/s-65536-flows: CPU per packet in that with one flow = 1.6, bar ≤ 1.5",
		"NOT MET       50000/s-65536-flows: peak memory = 49 MiB, bar ≤ 48 MiB",
		"met           flood-65536-flows: CPU per packet in that with one flow = 1.5, bar ≤ 1.5",
		"met           flood-65536-flows: peak memory = 48 MiB, bar ≤ 48 MiB",
		"no bar        50000/s-65536-flows-random: CPU per packet in that with one flow = 1.25",
		"met           50000/s-65536-flows-random: peak memory = 24 MiB, bar ≤ 48 MiB",
		"not measured  flood-65536-flows-random: CPU per packet in that with one flow",
		"not measured  flood-65536-flows-random: peak memory ≤ 48 MiB",
		"no bar        idle: CPU time = 0.5 ms a minute",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []int
		want   int
	}{{[]int{3}, 3}, {[]int{9, 1, 5}, 5}, {[]int{4, 3, 2, 1}, 2}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median of %v: %d, want %d", tt.values, got, tt.want)
		}
	}
}

func TestKernelTables(t *testing.T) {
	groups := "    7     41     0 2   128     10  1\n  100  24419     0 2   128     10  1\n"
	if got := groupOwner(strings.NewReader(groups), 100); got != 24419 {
		t.Errorf("owner of group 100: %d", got)
	}
	if got := groupOwner(strings.NewReader(groups), 10); got != 0 {
		t.Errorf("owner of group 10: %d", got)
	}
	sockets := "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n" +
		"0000000000000000 0   24419      00000000 0        0        0     2        9        1001    \n" +
		"0000000000000000 12  24419      00000000 0        0        0     2        77       1002    \n"
	if got, ok := socketDrops(strings.NewReader(sockets), 24419); got != 77 || !ok {
		t.Errorf("drops of 24419: %d, %v", got, ok)
	}
	if _, ok := socketDrops(strings.NewReader(sockets), 2441); ok {
		t.Error("a socket that is not there was found")
	}
}

func TestChosen(t *testing.T) {
	all, err := scenarios("flood,1000/s", time.Second, 7)
	if err != nil || len(all) != 2 || all[0].Packets != 1000 || all[1].Packets != 7 {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := scenarios("flood,no-such", time.Second, 7); err == nil || !strings.Contains(err.Error(), "no-such") {
		t.Errorf("no-such: %v", err)
	}
}
