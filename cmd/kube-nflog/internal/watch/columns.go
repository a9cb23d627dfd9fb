package watch

import (
	"strings"
	"unicode/utf8"
)

// style colours text for a terminal, or does not.
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
	width  int // of what came so far: it grows, and never shrinks
	right  bool
	colour string
}

// row returns the cells side by side, each as wide as its column, and no
// spaces at the end. A width above 0 cuts it.
func row(s style, columns []column, cells []string, width int) string {
	var b strings.Builder
	used := 0
	for i, cell := range cells {
		c := &columns[i]
		cell = printable(cell)
		c.width = max(c.width, utf8.RuneCountInString(cell))
		pad := strings.Repeat(" ", c.width-utf8.RuneCountInString(cell))
		gap := ""
		if i > 0 {
			gap = "  "
		}
		before, after := gap, pad
		if c.right {
			before, after = gap+pad, ""
		}
		text := before + cell + after
		if i == len(cells)-1 && !c.right {
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

func titles(columns []column) []string {
	var all []string
	for _, c := range columns {
		all = append(all, c.title)
	}
	return all
}

// plainly returns the columns without their colours, for titles.
func plainly(columns []column, colour string) []column {
	plain := make([]column, len(columns))
	for i, c := range columns {
		c.colour = colour
		plain[i] = c
	}
	return plain
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
