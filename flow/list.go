package flow

// list is a growing list of entries in chunks: it grows without copying, which
// would leave as much garbage as it holds, and a pointer into it stays good.
type list struct {
	chunks []*[chunkSize]entry
	n      int
}

const chunkSize = 1024

func (l *list) at(i int) *entry { return &l.chunks[i/chunkSize][i%chunkSize] }

// add appends an entry for the key.
func (l *list) add(k *key) *entry {
	e := l.append()
	*e = entry{key: *k, first: noTime}
	return e
}

// append returns the entry behind the last, to be set.
func (l *list) append() *entry {
	if l.n == len(l.chunks)*chunkSize {
		l.chunks = append(l.chunks, new([chunkSize]entry))
	}
	l.n++
	return l.at(l.n - 1)
}

// reset empties the list and gives up the chunks beyond those to keep.
func (l *list) reset(keep int) {
	l.n = 0
	if len(l.chunks) > keep {
		clear(l.chunks[keep:])
		l.chunks = l.chunks[:keep]
	}
}
