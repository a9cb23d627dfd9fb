// Command packets measures what receiving logged packets costs. It compares
// kube-nflog's whole packet path with go-nflog's hook and gopacket, with ulogd2, and
// with the floor, which receives packets and throws them away.
//
// How it measures:
//
//   - The readers take turns within one run. Each gets the same traffic in a private
//     network namespace: a node forwards packets between two veth devices, and a rule
//     logs and drops them.
//   - One thread sends the packets, bound to the last CPU. The kernel forwards and
//     logs in that thread's time, so this does not count as a reader's time.
//   - Readers use the other CPUs. A reader on the sender's CPU would slow down the
//     sender, and so lose fewer packets than it really does.
//   - Each reader is its own process. Its CPU time is the kernel's clock for that
//     process, from before the first packet until it stands still after the last one.
//   - If there are many flows, some scenarios send a packet of each flow in turn, so
//     that the packets of a flow are as far apart as possible. Others choose the flow
//     at random, as with many clients. Each flow has had a packet before measuring
//     starts.
//   - Results are medians. The cost of a paced reader varies by a third from round to
//     round, and a longer -duration does not reliably change that.
//
// It prints a table for each scenario, and whether each bar is met. -json writes the
// same to a file, with the figures of every round.
//
// Run it in the directory of the test module, on a machine that does nothing else. It
// needs Go, and root or a kernel that lets users make user namespaces. Without ulogd2
// (see the script setup) that reader is left out.
package main
