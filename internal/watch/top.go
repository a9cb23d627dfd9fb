package watch

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rateOver is the number of seconds over which a rate in the table is measured.
const rateOver = 5

// pipeRows is the number of rows if there is no terminal.
const pipeRows = 20

// Terminal sequences: switch to the other screen and hide the cursor, and back; move to the
// upper left corner; clear the rest of the line, and of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// top draws the table of the busiest flows every second. On a terminal each table replaces
// the last one. Elsewhere tables follow each other.
type top struct {
	out   io.Writer
	title string
	size  func() (width, height int)
	style style

	flows   map[key]*busy
	second  int // the second that is being counted, modulo rateOver
	packets uint64
	more    uint64 // packets of flows that are not told apart, and number of missed flows
	lost    uint64
}

// busy is a flow in the table.
type busy struct {
	last    line
	packets uint64
	seconds [rateOver]uint64
	at      time.Time
}

func (b *busy) rate() float64 {
	var sum uint64
	for _, s := range b.seconds {
		sum += s
	}
	return float64(sum) / rateOver
}

func (t *top) open() error {
	if t.size != nil {
		return t.print(enterScreen)
	}
	return nil
}

func (t *top) close() error {
	if t.size != nil {
		return t.print(leaveScreen)
	}
	return nil
}

func (t *top) missed(flows uint64) { t.lost += flows }

func (t *top) show(l *line, now time.Time) error {
	t.packets += l.Packets
	k := l.key()
	b, ok := t.flows[k]
	if !ok {
		if len(t.flows) >= maxTracked {
			t.more += l.Packets
			return nil
		}
		b = &busy{}
		t.flows[k] = b
	}
	b.last, b.at = *l, now
	b.packets += l.Packets
	b.seconds[t.second] += l.Packets
	return nil
}

// tick draws the table and starts the next second.
func (t *top) tick(now time.Time) error {
	err := t.print(t.frame(now))
	t.second = (t.second + 1) % rateOver
	for k, b := range t.flows {
		b.seconds[t.second] = 0
		if now.Sub(b.at) >= forget {
			delete(t.flows, k)
		}
	}
	return err
}

// frame returns the text of the table.
func (t *top) frame(now time.Time) string {
	width, height := 0, pipeRows+2
	if t.size != nil {
		width, height = t.size()
	}
	lines := []string{t.heading(now, width)}
	columns := []column{
		{title: "RATE", widest: 7, right: true, colour: red}, {title: "PACKETS", widest: 8, right: true},
		{title: "SOURCE", widest: 15, yields: true, colour: cyan}, {title: "DESTINATION", widest: 15, yields: true, colour: yellow},
		{title: "PORT", widest: 9}, {title: "LAST", widest: 4, right: true, colour: dim}, {title: "PREFIX", optional: true, colour: magenta},
		{title: "REASON", optional: true},
	}
	layOut(columns, titles(columns), width)
	var rows [][]string
	for _, b := range t.busiest(max(0, height-2)) {
		ago := strconv.Itoa(int(now.Sub(b.at).Seconds())) + "s"
		cells := cleanCells(
			rateText(b.rate()), strconv.FormatUint(b.packets, 10), b.last.Source.text(), b.last.Destination.text(),
			b.last.target(), ago, b.last.Prefix, b.last.Reason,
		)
		layOut(columns, cells, width)
		rows = append(rows, cells)
	}
	lines = append(lines, header(t.style, columns, width))
	for _, cells := range rows {
		lines = append(lines, row(t.style, columns, cells, width))
	}
	if t.size == nil {
		return strings.Join(lines, "\n") + "\n\n"
	}
	return home + strings.Join(lines, clearLine+"\r\n") + clearLine + clearBelow
}

func (t *top) heading(now time.Time, width int) string {
	text := fmt.Sprintf("%s  %s  %d flows, %d packets", now.Local().Format(time.TimeOnly), t.title, len(t.flows), t.packets)
	if t.more > 0 {
		text += fmt.Sprintf(", %d of them in flows beyond these", t.more)
	}
	if t.lost > 0 {
		text += fmt.Sprintf(", %d flows missed", t.lost)
	}
	if width > 0 {
		text = cut(text, width)
	}
	return text
}

// busiest returns the flows with the highest rates.
func (t *top) busiest(limit int) []*busy {
	all := make([]*busy, 0, len(t.flows))
	for _, b := range t.flows {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *busy) int {
		return cmp.Or(
			cmp.Compare(b.rate(), a.rate()), cmp.Compare(b.packets, a.packets),
			a.last.Source.IP.Compare(b.last.Source.IP), a.last.Destination.IP.Compare(b.last.Destination.IP),
			cmp.Compare(a.last.target(), b.last.target()),
		)
	})
	return all[:min(limit, len(all))]
}

func (t *top) print(text string) error {
	if _, err := io.WriteString(t.out, text); err != nil {
		return fmt.Errorf("draw the table: %w", err)
	}
	return nil
}
