// Package watch shows drops to a person. In go JSON lines as emit writes them,
// one per flow and window; out come, on a terminal or a pipe, one row for each
// flow that is new and a rate while it goes on, or a table of the busiest
// flows, or the lines themselves, filtered.
//
// A View belongs to one goroutine. However many flows come, what it keeps and
// what it prints in a second are bounded, and it says what it left out.
package watch
