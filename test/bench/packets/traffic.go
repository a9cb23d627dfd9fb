package main

import (
	"fmt"
	"math/rand/v2"
)

// traffic is what the generator sends in one call.
type traffic struct {
	Rate    int  `json:"rate"` // packets per second; 0 for as fast as one core can
	Flows   int  `json:"flows"`
	Random  bool `json:"random"`  // the flow of each packet is random; otherwise flows take turns
	Packets int  `json:"packets"` // how many are sent
}

// Each reader gets some slow packets before it is measured, so that one-time work is
// done, for the process and for each flow. kube-nflog has memory for two windows of a
// second. Both have grown after the warm-up.
const (
	warmUpPackets   = 1000
	warmUpRate      = 10_000
	warmUpFlowsRate = 50_000 // if there are more flows than that
	warmUpEach      = 2      // packets of each flow
)

// warmUp is the traffic before measuring: the same flows in turn, so that each appears.
func (t traffic) warmUp() traffic {
	w := traffic{Rate: warmUpRate, Flows: t.Flows, Packets: max(warmUpPackets, warmUpEach*t.Flows)}
	if t.Flows > warmUpPackets {
		w.Rate = warmUpFlowsRate
	}
	return w
}

func (t traffic) String() string {
	rate, flows := "as fast as one core can", "one flow"
	if t.Rate > 0 {
		rate = fmt.Sprintf("%d a second", t.Rate)
	}
	if t.Flows > 1 {
		flows = fmt.Sprintf("%d flows in turn", t.Flows)
	}
	if t.Random {
		flows = fmt.Sprintf("%d flows at random", t.Flows)
	}
	return fmt.Sprintf("%d packets, %s, %s", t.Packets, rate, flows)
}

// order returns a function that numbers the flows: from the number of packets sent
// before, it returns the flow of the next packet. Random flows are the same each time.
func (t traffic) order() func(sent int) int {
	if !t.Random {
		return func(sent int) int { return sent % t.Flows }
	}
	random := rand.New(rand.NewPCG(1, 2))
	return func(int) int { return random.IntN(t.Flows) }
}
