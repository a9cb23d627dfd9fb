package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrNoTool reports that there are tables of iptables-legacy, but its tool is not
// installed.
var ErrNoTool = errors.New("its tool is not here")

// ReadLegacy returns the chains of iptables-legacy and ip6tables-legacy. The error wraps
// ErrNoTool if the kernel has such tables and the tools are missing. It reads only tables
// that exist, because the tool would create others.
func ReadLegacy(ctx context.Context) (Ruleset, error) {
	var all Ruleset
	for tool, names := range map[string]string{
		"iptables-legacy":  "/proc/thread-self/net/ip_tables_names",
		"ip6tables-legacy": "/proc/thread-self/net/ip6_tables_names",
	} {
		tables, err := os.ReadFile(names)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the kernel has no such tables
		}
		if err != nil {
			return nil, fmt.Errorf("list the tables of %s: %w", tool, err)
		}
		for _, table := range strings.Fields(string(tables)) {
			if table == "nat" {
				continue // nothing is dropped there
			}
			path, err := exec.LookPath(tool + "-save")
			if err != nil {
				return nil, fmt.Errorf("read table %s of %s: %w", table, tool, ErrNoTool)
			}
			out, err := exec.CommandContext(ctx, path, "-t", table).Output()
			if err != nil {
				return nil, fmt.Errorf("read table %s of %s: %w", table, tool, err)
			}
			all = append(all, ParseSave(tool, table, string(out))...)
		}
	}
	return all, nil
}

// ParseSave parses what iptables-save prints of a table. tool and table go into each Chain.
// Lines that it does not understand are left out.
func ParseSave(tool, table, text string) Ruleset {
	var all Ruleset
	at := map[string]int{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) >= 2 && strings.HasPrefix(fields[0], ":"):
			name := fields[0][1:]
			at[name] = len(all)
			all = append(all, Chain{Tool: tool, Table: table, Name: name})
			if fields[1] == "DROP" {
				all[at[name]].Policy = "drop"
			}
		case len(fields) >= 2 && fields[0] == "-A":
			if i, ok := at[fields[1]]; ok {
				c := &all[i]
				c.Rules = append(c.Rules, parseRule(strings.TrimSpace(line), len(c.Rules)+1))
			}
		}
	}
	return all
}

// parseRule parses a rule as iptables-save prints it.
func parseRule(line string, number int) Rule {
	comment := regexp.MustCompile(` -m comment --comment (?:"((?:\\.|[^"\\])*)"|(\S+))`)
	r := Rule{Number: number, Comment: joinComments(comment.FindAllStringSubmatch(line, -1))}
	line = comment.ReplaceAllString(line, "")
	fields := strings.Fields(line)[2:]
	if limit := slices.Index(fields, "--limit"); limit >= 0 && limit+1 < len(fields) {
		r.Limit = fields[limit+1]
	}
	match := regexp.MustCompile(` -m limit( --limit(-burst)? \S+)+`).ReplaceAllString(" "+strings.Join(fields, " "), "")
	match, action, _ := strings.Cut(match+" ", " -j ")
	if action == "" {
		match, action, _ = strings.Cut(match, " -g ")
	}
	r.Match = strings.TrimSpace(match)
	if r.Match != "" {
		r.Conditions = splitConditions(r.Match)
	}
	if strings.Contains(r.Match, `"`) {
		r.Match = "" // the value has several words
	}
	words := strings.Fields(action)
	if len(words) == 0 {
		return r
	}
	switch words[0] {
	case "DROP", "REJECT":
		r.Drops = true
	case "NFLOG":
		r.Log = parseLog(words[1:])
	default:
		r.Jump = words[0]
	}
	return r
}

// joinComments joins the comments: the text between quotes, or the single word.
func joinComments(found [][]string) string {
	var texts []string
	for _, m := range found {
		texts = append(texts, regexp.MustCompile(`\\(.)`).ReplaceAllString(m[1], "$1")+m[2])
	}
	return strings.Join(texts, "; ")
}

// splitConditions splits a match before each option.
func splitConditions(match string) (conditions []string) {
	for _, word := range strings.Fields(match) {
		last := len(conditions) - 1
		begins := strings.HasPrefix(word, "-") || word == "!"
		if last < 0 || begins && conditions[last] != "!" {
			conditions = append(conditions, word)
			continue
		}
		conditions[last] += " " + word
	}
	return conditions
}

func parseLog(words []string) *Log {
	l := &Log{}
	for i := 0; i+1 < len(words); i++ {
		n, err := strconv.ParseUint(words[i+1], 10, 32)
		if err != nil {
			continue
		}
		switch words[i] {
		case "--nflog-group":
			l.Group = uint16(n)
		case "--nflog-threshold":
			l.Threshold = uint16(n)
		case "--nflog-size", "--nflog-range":
			l.Size = uint32(n)
		}
	}
	return l
}

// nflogInfo parses struct xt_nflog_info (linux/netfilter/xt_NFLOG.h), which some versions
// of iptables-nft put into nftables. It returns nil if the struct is too short.
func nflogInfo(info []byte) *Log {
	if len(info) < 8 {
		return nil
	}
	return &Log{
		Size:  binary.NativeEndian.Uint32(info),
		Group: binary.NativeEndian.Uint16(info[4:]), Threshold: binary.NativeEndian.Uint16(info[6:]),
	}
}
