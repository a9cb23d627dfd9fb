// Package watch shows drops to a person. Its input is JSON lines as emit writes them, one
// for each flow and window. On a terminal or a pipe it prints a row for each new flow and
// its rate while it goes on, or a table of the busiest flows, or the filtered lines
// themselves.
//
// A View belongs to one goroutine. It keeps and prints a bounded amount, however many flows
// come, and reports what it left out.
package watch
