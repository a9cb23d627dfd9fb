// Package flow folds drops into flows. It is the border between the rate of
// packets and the rate of everything behind: in go drops, as many as the
// kernel logs; out comes, once a window, one [Flow] for all drops that agree.
//
// A [Table] belongs to the goroutine that reads packets, one table a reader.
// That goroutine never waits: it hands windows to one consumer over
// [Table.Windows], and while the consumer is still busy with the last one it
// goes on folding into the current one. A flow that was not seen lately is
// handed on early, within [Config.EarlyAfter].
//
// A drop's flow is found in one of three ways, the cheapest first: it is the
// last drop's; it is the one that came behind that when both were new; or it is
// looked up, some drops at a time, so that what each needs from memory is waited
// for together. What is found is a record, which outlives windows and says where
// the flow's entry in the current one is.
//
// Memory is bounded and reused. When a window is full, further flows fold into
// overflow flows, so that packets and bytes always add up.
package flow
