package watch

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"time"
)

const (
	maxTracked = 10_000          // flows that are told apart
	maxRows    = 200             // rows in a second; the other flows are summed up
	forget     = time.Minute     // a flow without packets for this long is new again
	firstEvery = 2 * time.Second // first interval between the rows of a flow that goes on
	lastEvery  = 30 * time.Second
)

// list prints a row for each new flow, and from time to time one for a flow that goes on.
// It prints the titles before the first row, and again when a column became wider, so that
// rows are always aligned with the titles above them.
type list struct {
	out     *bufio.Writer
	notes   io.Writer
	title   string
	size    func() (width, height int) // nil if there is no terminal
	style   style
	columns []column
	flows   map[key]*seen
	rows    int // printed since the last tick

	moreFlows, morePackets, missedFlows uint64 // counts since the last tick, of flows without a row
}

// seen is a flow that had a row.
type seen struct {
	last    line
	packets uint64 // since the first row
	pending uint64 // since the last row
	shown   time.Time
	every   time.Duration
	at      time.Time // when it was last seen
}

func (s *list) open() error {
	s.columns = []column{
		{title: "TIME", widest: 8, colour: dim},
		{title: "SOURCE", widest: 15, yields: true, colour: cyan},
		{title: "DESTINATION", widest: 15, yields: true, colour: yellow},
		{title: "PORT", widest: 9},
		{title: "PACKETS", widest: 7, right: true},
		{title: "RATE", widest: 7, right: true, colour: red},
		{title: "FLAGS", widest: 5},
		{title: "WAY", widest: 7, colour: dim},
		{title: "PREFIX", optional: true, colour: magenta},
		{title: "REASON", optional: true},
	}
	if _, err := fmt.Fprintf(s.notes, "%s, until Ctrl-C\n", s.title); err != nil {
		return fmt.Errorf("say what is watched: %w", err)
	}
	return nil
}

func (s *list) close() error { return s.out.Flush() }

func (s *list) missed(flows uint64) { s.missedFlows += flows }

func (s *list) show(l *line, now time.Time) error {
	k := l.key()
	if known, ok := s.flows[k]; ok {
		known.last, known.at = *l, now
		known.packets += l.Packets
		known.pending += l.Packets
		return nil
	}
	if len(s.flows) >= maxTracked || s.rows >= maxRows {
		s.moreFlows++
		s.morePackets += l.Packets
		return nil
	}
	s.flows[k] = &seen{last: *l, packets: l.Packets, shown: now, at: now, every: firstEvery}
	return s.printFlow(l, l.Packets, "")
}

// tick prints the flows that go on, and sums up the flows without a row.
func (s *list) tick(now time.Time) error {
	for k, f := range s.flows {
		if f.pending > 0 && now.Sub(f.shown) >= f.every && s.rows < maxRows {
			rate := rateText(float64(f.pending) / now.Sub(f.shown).Seconds())
			if err := s.printFlow(&f.last, f.packets, rate); err != nil {
				return err
			}
			f.pending, f.shown, f.every = 0, now, min(2*f.every, lastEvery)
		}
		if f.pending == 0 && now.Sub(f.at) >= forget {
			delete(s.flows, k)
		}
	}
	s.rows = 0
	return s.printRest()
}

func (s *list) printRest() error {
	if s.moreFlows > 0 {
		text := fmt.Sprintf("… and %d more rows for flows with %d packets: too many to show", s.moreFlows, s.morePackets)
		if err := s.print(s.style.paint(dim, text)); err != nil {
			return err
		}
	}
	if s.missedFlows > 0 {
		text := fmt.Sprintf("… %d flows were missed: this end was too slow", s.missedFlows)
		if err := s.print(s.style.paint(dim, text)); err != nil {
			return err
		}
	}
	s.moreFlows, s.morePackets, s.missedFlows = 0, 0, 0
	return nil
}

func (s *list) printFlow(l *line, packets uint64, rate string) error {
	s.rows++
	cells := cleanCells(
		l.LastSeen.Local().Format(time.TimeOnly), l.Source.text(), l.Destination.text(), l.target(),
		strconv.FormatUint(packets, 10), rate, l.TCPFlags, l.way(), l.Prefix, l.Reason,
	)
	width, below := 0, ""
	if s.size != nil {
		// A terminal is too narrow for a column of reasons. The reason is on the line
		// below.
		width, _ = s.size()
		reason := &cells[len(cells)-1]
		if rate == "" && *reason != "" {
			below = cut("          "+*reason, width)
		}
		*reason = ""
	}
	if layOut(s.columns, cells, width) {
		if err := s.print(header(s.style, s.columns, width)); err != nil {
			return err
		}
	}
	if err := s.print(row(s.style, s.columns, cells, width)); err != nil || below == "" {
		return err
	}
	return s.print(s.style.paint(magenta, below))
}

// print prints a row at once, without a buffer, because there are few rows.
func (s *list) print(text string) error {
	if _, err := s.out.WriteString(text + "\n"); err != nil {
		return fmt.Errorf("print a drop: %w", err)
	}
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("print a drop: %w", err)
	}
	return nil
}

// rateText returns packets per second, with as few digits as needed.
func rateText(perSecond float64) string {
	if perSecond < 10 {
		return fmt.Sprintf("%.1f/s", perSecond)
	}
	return fmt.Sprintf("%.0f/s", perSecond)
}
