// Command packets measures what receiving logged packets costs: kube-nflog's
// whole packet path beside go-nflog's hook with gopacket, ulogd2, and the
// floor, which is receiving and throwing away.
//
// In one run, interleaved, each reader in turn gets the same traffic in a
// private network namespace: packets that a node forwards from one veth device
// to another until a rule logs and drops them. One thread sends them, bound to
// the last CPU; the kernel forwards and logs in that thread's time, so none of
// it is on a reader's account. Readers have the other CPUs: a reader that shares
// the generator's slows it, and so loses less than it would. A reader is a process of its own, and its CPU
// time is what the kernel's clock for that process says from before the first
// packet until, after the last, it stands still.
//
// Of many flows, packets come in turn in some scenarios, so that each is as far
// from its last one as can be, and in others at random, as those of many clients
// do: some of a flow soon after another, some not in its window. Either way each
// flow has had a packet before what is measured begins.
//
// What a paced reader costs varies by a third from round to round, and with a
// -duration of twice as long not reliably by less: hence medians.
//
// It prints a table for each scenario, medians over the rounds, and what has
// become of each bar; -json writes the same and every round's numbers.
//
// Run it in the directory of the test module, on a machine that does nothing
// else. It needs Go, root or a kernel that lets users make user namespaces,
// and ulogd2 (see the script setup), without which that is left out.
package main
