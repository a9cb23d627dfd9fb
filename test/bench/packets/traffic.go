package main

import (
	"fmt"
	"math/rand/v2"
)

// traffic is what the generator sends at a time.
type traffic struct {
	Rate    int  `json:"rate"` // packets per second; 0 for as fast as one core can
	Flows   int  `json:"flows"`
	Random  bool `json:"random"`  // each packet's flow is drawn; else they take turns
	Packets int  `json:"packets"` // how many are sent
}

// Before it is measured each reader gets some packets at leisure, so that what
// it does once is done: for itself, and for each flow. kube-nflog has memory for
// two windows of a second, of which both have grown then.
const (
	warmUpPackets   = 1000
	warmUpRate      = 10_000
	warmUpFlowsRate = 50_000 // of more flows than that
	warmUpEach      = 2      // packets of each flow
)

// warmUp is what goes before: the same flows in turn, so that each appears.
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

// order returns what numbers the flows: given how many packets were sent
// before, the number of the next one's. What is drawn is the same each time.
func (t traffic) order() func(sent int) int {
	if !t.Random {
		return func(sent int) int { return sent % t.Flows }
	}
	random := rand.New(rand.NewPCG(1, 2))
	return func(int) int { return random.IntN(t.Flows) }
}
