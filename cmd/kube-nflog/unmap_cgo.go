//go:build linux && cgo

package main

// unmapProgram does nothing: a C linker may have put data among the constants
// that the loader has changed.
func unmapProgram() error { return nil }
