package watch

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// style colours text for a terminal, or leaves it unchanged.
type style struct{ on bool }

const (
	reset   = "\x1b[0m"
	bold    = "\x1b[1m"
	dim     = "\x1b[2m"
	magenta = "\x1b[35m"
	cyan    = "\x1b[36m"
	yellow  = "\x1b[33m"
	red     = "\x1b[31m"
)

func (s style) paint(colour, text string) string {
	if !s.on || colour == "" || text == "" {
		return text
	}
	return colour + text + reset
}

// column is a column of rows that come one by one.
type column struct {
	title  string
	widest int // the widest cell so far; it never shrinks
	width  int // width in a row
	right  bool
	yields bool // it becomes narrower if the terminal is too narrow
	// An optional column appears with its first cell.
	optional bool
	colour   string
}

const (
	between  = "  " // text between columns
	leastEnd = 24   // least width of a column that yields: an address, and some of a name
)

// cleanCells makes cells safe to print.
func cleanCells(cells ...string) []string {
	for i, cell := range cells {
		cells[i] = clean(cell)
	}
	return cells
}

// layOut sets the widths of the columns for a row in a terminal of that width, 0 for no
// limit. It reports whether the width of a column other than the last has changed.
func layOut(columns []column, cells []string, width int) (changed bool) {
	before := slices.Clone(columns)
	total := -len(between)
	for i := range columns {
		c := &columns[i]
		c.widest = max(c.widest, utf8.RuneCountInString(cells[i]))
		if c.optional && c.widest > 0 {
			c.widest = max(c.widest, utf8.RuneCountInString(c.title))
		}
		c.width = c.widest
		if c.width > 0 {
			total += len(between) + c.width
		}
	}
	for width > 0 && total > width && narrow(columns) {
		total--
	}
	for i := range columns {
		// The last column's width is not visible, only that the column exists.
		changed = changed || columns[i].width != before[i].width && (i < len(columns)-1 || before[i].width == 0)
	}
	return changed
}

// narrow makes the widest column that yields one character narrower. It returns false if no
// column can become narrower.
func narrow(columns []column) bool {
	var widest *column
	for i := range columns {
		if c := &columns[i]; c.yields && c.width > leastEnd && (widest == nil || c.width > widest.width) {
			widest = c
		}
	}
	if widest == nil {
		return false
	}
	widest.width--
	return true
}

// row returns the cells side by side, each as wide as its column, without spaces at the
// end. A width above 0 cuts the row.
func row(s style, columns []column, cells []string, width int) string {
	var b strings.Builder
	used := 0
	last := len(columns) - 1
	for columns[last].width == 0 {
		last--
	}
	for i, cell := range cells {
		c := &columns[i]
		if c.width == 0 {
			continue
		}
		cell = shorten(cell, c.width)
		pad := strings.Repeat(" ", max(0, c.width-utf8.RuneCountInString(cell)))
		gap := ""
		if i > 0 {
			gap = between
		}
		before, after := gap, pad
		if c.right {
			before, after = gap+pad, ""
		}
		text := before + cell + after
		if i == last && !c.right {
			text = before + cell
		}
		if width > 0 {
			text = cut(text, width-used)
		}
		used += utf8.RuneCountInString(text)
		b.WriteString(strings.Replace(text, cell, s.paint(c.colour, cell), 1))
	}
	return b.String()
}

// header returns the row of titles.
func header(s style, columns []column, width int) string {
	plain := slices.Clone(columns)
	for i := range plain {
		plain[i].colour = bold
	}
	return row(s, plain, titles(columns), width)
}

func titles(columns []column) []string {
	var all []string
	for _, c := range columns {
		if c.optional && c.widest == 0 {
			c.title = ""
		}
		all = append(all, c.title)
	}
	return all
}

// shorten shortens a name and keeps the address after it.
func shorten(text string, length int) string {
	const leastName = 8
	if utf8.RuneCountInString(text) <= length {
		return text
	}
	if i := strings.LastIndex(text, " ("); i >= 0 && length-utf8.RuneCountInString(text[i:]) >= leastName {
		return cut(text[:i], length-utf8.RuneCountInString(text[i:])) + text[i:]
	}
	return cut(text, length)
}

// cut shortens text to a number of characters.
func cut(text string, length int) string {
	if length <= 0 {
		return ""
	}
	runes := []rune(text)
	if len(runes) <= length {
		return text
	}
	return string(runes[:length-1]) + "…"
}
