package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroup is a memory cgroup.
type cgroup struct {
	dir     string
	current string // the file with the charged memory, in bytes
	prefix  string // prefix of the names in memory.stat that include descendants
}

// newCgroup creates a cgroup below the one of this process.
func newCgroup() (*cgroup, error) {
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("kube-nflog-footprint-%d", os.Getpid())
	g := &cgroup{dir: filepath.Join(root, name), current: "memory.current"}
	if _, err := os.Stat(filepath.Join(root, "memory")); err == nil { // version 1
		*g = cgroup{dir: filepath.Join(root, "memory", name), current: "memory.usage_in_bytes", prefix: "total_"}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a memory cgroup: %w", err)
	}
	if _, err := g.number(g.current); err != nil {
		return nil, errors.Join(fmt.Errorf("the memory controller is off: %w", err), g.remove())
	}
	return g, nil
}

// remove removes the cgroup. Its processes must have ended.
func (g *cgroup) remove() error { return os.Remove(g.dir) }

// wrapper returns a command line prefix that runs a command in the cgroup.
func (g *cgroup) wrapper() []string {
	return []string{"/bin/sh", "-c", `echo $$ >` + filepath.Join(g.dir, "cgroup.procs") + ` && exec "$@"`, "sh"}
}

// usage is the memory of a cgroup, in bytes.
type usage struct{ current, inactiveFile, anon, file uint64 }

func (u usage) String() string {
	const mib = 1 << 20
	return fmt.Sprintf("%8.1f  memory.current less inactive_file\n%8.1f  memory.current\n%8.1f  anonymous\n%8.1f  file\n%8.1f  inactive_file\n",
		float64(u.current-u.inactiveFile)/mib, float64(u.current)/mib, float64(u.anon)/mib, float64(u.file)/mib, float64(u.inactiveFile)/mib)
}

func (g *cgroup) usage() (u usage, err error) {
	if u.current, err = g.number(g.current); err != nil {
		return u, err
	}
	text, err := os.ReadFile(filepath.Join(g.dir, "memory.stat"))
	if err != nil {
		return u, err
	}
	into := map[string]*uint64{
		"inactive_file": &u.inactiveFile, "anon": &u.anon, "file": &u.file,
		"total_inactive_file": &u.inactiveFile, "total_rss": &u.anon, "total_cache": &u.file,
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := into[name]; to != nil && strings.HasPrefix(name, g.prefix) {
			if _, err := fmt.Sscan(value, to); err != nil {
				return u, fmt.Errorf("read %s: %w", name, err)
			}
		}
	}
	return u, nil
}

func (g *cgroup) number(file string) (n uint64, err error) {
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	if err == nil {
		_, err = fmt.Sscan(string(text), &n)
	}
	return n, err
}

// evict drops a file from the page cache. The next reader of the file is then charged for
// it, as a container is charged for its own program.
func evict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write %s to the disk: %w", path, err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("drop %s from the page cache: %w", path, err)
	}
	return nil
}
