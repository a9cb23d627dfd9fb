// Package flow folds drops into flows. It is the border between the rate of
// packets and the rate of everything behind: in go drops, as many as the
// kernel logs; out comes, once a window, one [Flow] for all drops that agree.
//
// A [Table] belongs to the goroutine that reads packets, one table a reader.
// That goroutine never waits: it hands windows to one consumer over
// [Table.Windows], and while the consumer is still busy with the last one it
// goes on folding into the current one. Drops of many flows are folded some at
// a time, so that what each needs from memory is waited for together. A flow
// that was not seen in the window before is handed on early, within
// [Config.EarlyAfter].
//
// Memory is bounded and reused. When a window is full, further flows fold into
// overflow flows, so that packets and bytes always add up.
package flow
