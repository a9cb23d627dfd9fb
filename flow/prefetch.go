//go:build amd64 || arm64

package flow

import "unsafe"

// prefetch asks for the memory at an address without waiting for it, which no
// Go statement does: to load it is to hold up what follows.
//
//go:noescape
func prefetch(at unsafe.Pointer)
