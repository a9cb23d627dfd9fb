//go:build linux

package main

import (
	"fmt"
	"io"
	"log/slog"
)

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("read log level: %w", err)
	}
	return level, nil
}

// newLogger writes to w as --log-level and --log-format say, which validate
// has checked.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	least, _ := parseLevel(level)
	options := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
