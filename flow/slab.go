package flow

// slab is an array that grows in chunks. It grows without copying, which would leave as
// much garbage as it holds, and pointers to its elements stay valid.
type slab[T any] struct {
	chunks []*[chunkSize]T
	n      int
}

const chunkSize = 1024

func (s *slab[T]) at(i int) *T { return &s.chunks[uint(i)/chunkSize][uint(i)%chunkSize] }

// append adds an element, which holds anything, and returns it to be set.
func (s *slab[T]) append() *T {
	if s.n == len(s.chunks)*chunkSize {
		s.chunks = append(s.chunks, new([chunkSize]T))
	}
	s.n++
	return s.at(s.n - 1)
}

// reset empties the slab. It frees the chunks beyond twice those in use.
func (s *slab[T]) reset() {
	keep := 2 * (s.n/chunkSize + 1)
	s.n = 0
	if len(s.chunks) > keep {
		clear(s.chunks[keep:])
		s.chunks = s.chunks[:keep]
	}
}
