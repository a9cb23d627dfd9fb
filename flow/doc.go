// Package flow folds drops into flows. It is the border between the rate of packets and
// the rate of everything behind it: in go drops, as many as the kernel logs; out comes
// one [Flow] a window for all drops that agree in their key.
//
// A [Table] belongs to the goroutine that reads packets, one table a reader. That
// goroutine never waits. It exports windows to one consumer over [Table.Windows]. While
// the consumer is busy with the last window, the goroutine goes on folding into the
// current one. A flow that was not seen lately is exported early, within
// [Config.EarlyAfter].
//
// The table finds a drop's flow in one of three ways, the cheapest first:
//
//  1. It is the flow of the drop before.
//  2. It is the flow that came after that one when both were new.
//  3. It is looked up, many drops at a time, so that the processor waits for the memory
//     of all of them at once.
//
// A look-up finds a record, which outlives windows and knows where the flow's entry in
// the current window is. docs/design/fast-path.md has the figures.
//
// Memory is bounded and reused. When a window is full, further flows fold into overflow
// flows, so that packets and bytes always add up.
package flow
