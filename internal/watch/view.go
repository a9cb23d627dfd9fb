package watch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"
)

// Mode is the form in which drops are shown.
type Mode uint8

// The modes.
const (
	List Mode = iota // a row for each new flow, and a rate while it goes on
	Top              // a table of the busiest flows, drawn again every second
	JSON             // the lines as they come
)

// Config configures a View.
type Config struct {
	Mode   Mode
	Filter Filter
	Out    io.Writer
	Notes  io.Writer // receives what is no flow: the title of a List, and what JSON misses; nil for nobody
	Title  string    // what is watched
	Colour bool
	// Size returns the terminal's width and height; nil if Out is no terminal.
	Size func() (width, height int)
}

// View shows drops. Create one with New.
type View struct {
	cfg    Config
	screen screen
}

// screen is a mode with a state.
type screen interface {
	open() error
	show(l *line, now time.Time) error
	missed(flows uint64)
	tick(now time.Time) error
	close() error
}

// New returns a View.
func New(cfg Config) *View {
	if cfg.Notes == nil {
		cfg.Notes = io.Discard
	}
	v := &View{cfg: cfg}
	style := style{on: cfg.Colour}
	switch cfg.Mode {
	case Top:
		v.screen = &top{out: cfg.Out, title: cfg.Title, size: cfg.Size, style: style, flows: make(map[key]*busy)}
	case JSON:
		v.screen = nil
	default:
		v.screen = &list{
			out: bufio.NewWriter(cfg.Out), notes: cfg.Notes, title: cfg.Title, size: cfg.Size, style: style, flows: make(map[key]*seen),
		}
	}
	return v
}

// Run shows lines until they end. It returns the error of the reader or of the writer.
func (v *View) Run(lines io.Reader) (err error) {
	if v.screen == nil {
		return v.passOn(lines)
	}
	if err := v.screen.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.screen.close()) }()
	parsed, failed := make(chan line), make(chan error, 1)
	stop := make(chan struct{})
	defer close(stop)
	go func() { failed <- v.read(lines, parsed, stop) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case l := <-parsed:
			err = v.take(&l)
		case now := <-tick.C:
			err = v.screen.tick(now)
		case err := <-failed:
			return errors.Join(err, v.screen.tick(time.Now()))
		}
		if err != nil {
			return err
		}
	}
}

// read parses lines until they end or stop is closed.
func (v *View) read(lines io.Reader, parsed chan<- line, stop <-chan struct{}) error {
	return scan(lines, func(raw []byte) error {
		l, err := parse(raw)
		if err != nil || l.Flows == 0 && !v.cfg.Filter.wants(&l) {
			return err
		}
		select {
		case parsed <- l:
			return nil
		case <-stop:
			return io.ErrClosedPipe
		}
	})
}

func (v *View) take(l *line) error {
	if l.Flows > 0 {
		v.screen.missed(l.Flows)
		return nil
	}
	return v.screen.show(l, time.Now())
}

// passOn prints the lines that the filter selects, unchanged.
func (v *View) passOn(lines io.Reader) error {
	return scan(lines, func(raw []byte) error {
		l, err := parse(raw)
		switch {
		case err != nil:
			return err
		case l.Flows > 0:
			_, err = fmt.Fprintf(v.cfg.Notes, "kube-nflog: %d flows were missed: the reader was too slow\n", l.Flows)
		case v.cfg.Filter.wants(&l):
			_, err = v.cfg.Out.Write(append(raw, '\n'))
		}
		return err
	})
}

func scan(lines io.Reader, take func(raw []byte) error) error {
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		if err := take(scanner.Bytes()); err != nil {
			return err
		}
	}
	return scanner.Err()
}
