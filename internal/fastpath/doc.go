// Package fastpath takes a group's packets from the kernel's messages to a flow table.
//
// Most packets differ from the one before in little: they come from one rule, and have
// their header fields in the same places. A [Folder] recognises such packets, and reads
// only the fields that can differ. It decodes all others. Nothing outside this package
// knows of that, and the result is the same: TestFolder compares it with a decoder and a
// table that know nothing of the packet before. docs/design/fast-path.md has the figures.
package fastpath
