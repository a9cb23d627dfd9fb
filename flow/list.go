package flow

// list is a growing list in chunks: it grows without copying, which would leave
// as much garbage as it holds, and a pointer into it stays good.
type list[T any] struct {
	chunks []*[chunkSize]T
	n      int
}

const chunkSize = 1024

func (l *list[T]) at(i int) *T { return &l.chunks[uint(i)/chunkSize][uint(i)%chunkSize] }

// append returns what is behind the last, to be set.
func (l *list[T]) append() *T {
	if l.n == len(l.chunks)*chunkSize {
		l.chunks = append(l.chunks, new([chunkSize]T))
	}
	l.n++
	return l.at(l.n - 1)
}

// reset empties the list and gives memory back that it did not need: chunks
// beyond twice those in use.
func (l *list[T]) reset() {
	keep := 2 * (l.n/chunkSize + 1)
	l.n = 0
	if len(l.chunks) > keep {
		clear(l.chunks[keep:])
		l.chunks = l.chunks[:keep]
	}
}
