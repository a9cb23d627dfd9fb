//go:build linux

package agent

import (
	"io"
	"sync"
)

// lockedWriter lets several deliverers share standard output: each of their
// writes is a whole number of lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
