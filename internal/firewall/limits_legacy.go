package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// xtables says how to read the tables of one address family. The numbers are those of
// 64-bit systems, from linux/netfilter_ipv4/ip_tables.h and ip6_tables.h.
type xtables struct {
	names   string // the file with the names of the existing tables. Reading another table would create it
	domain  int
	level   int
	target  int // offset of target_offset in an entry; next_offset follows
	matches int // size of an entry without its matches
}

func xtablesFamilies() []xtables {
	return []xtables{
		{"/proc/thread-self/net/ip_tables_names", unix.AF_INET, unix.SOL_IP, 88, 112},
		{"/proc/thread-self/net/ip6_tables_names", unix.AF_INET6, unix.SOL_IPV6, 140, 168},
	}
}

const (
	optInfo     = 64 // IPT_SO_GET_INFO
	optEntries  = 65 // IPT_SO_GET_ENTRIES
	infoSize    = 84 // size of struct ipt_getinfo, which ends with the number and size of entries
	tableName   = 32
	headEntries = 40 // size of struct ipt_get_entries without the entries
	xtHeader    = 32 // size of the header of a match and of a target: size, name, revision
	maxTable    = 64 << 20
)

// legacyState returns the number and the size of entries of each table, to detect changes.
func legacyState() string {
	var b strings.Builder
	_ = eachTable(func(x *xtables, fd int, table string) error {
		info, err := tableInfo(x, fd, table)
		if err == nil {
			fmt.Fprintf(&b, "%d %s %x;", x.domain, table, info[infoSize-8:])
		}
		return nil
	})
	return b.String()
}

// eachTable calls f for each table that the kernel has, except for nat, where nothing is
// dropped.
func eachTable(f func(x *xtables, fd int, table string) error) error {
	for _, x := range xtablesFamilies() {
		tables, err := os.ReadFile(x.names)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the kernel has no such tables
		}
		if err != nil {
			return fmt.Errorf("list the tables of iptables-legacy: %w", err)
		}
		if len(tables) == 0 {
			continue
		}
		// Any socket works. iptables uses a raw socket, which would need CAP_NET_RAW.
		fd, err := unix.Socket(x.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a socket: %w", err)
		}
		for _, table := range strings.Fields(string(tables)) {
			if table == "nat" || len(table) >= tableName {
				continue
			}
			if err = f(&x, fd, table); err != nil {
				break
			}
		}
		_ = unix.Close(fd) // nothing was written
		if err != nil {
			return err
		}
	}
	return nil
}

func tableInfo(x *xtables, fd int, table string) ([]byte, error) {
	b := make([]byte, infoSize)
	copy(b, table)
	return b, getsockopt(fd, x.level, optInfo, b)
}

func getsockopt(fd, level, name int, b []byte) error {
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return fmt.Errorf("read a table of iptables-legacy: %w", errno)
	}
	return nil
}

// collectLegacy collects the rules of iptables-legacy.
func collectLegacy(c *collector) error {
	return eachTable(func(x *xtables, fd int, table string) error {
		info, err := tableInfo(x, fd, table)
		if err != nil {
			return err
		}
		size := int(binary.NativeEndian.Uint32(info[infoSize-4:]))
		if size > maxTable {
			return fmt.Errorf("table %s of iptables-legacy has %d bytes", table, size)
		}
		// This memory is not from Go's heap, which would not return it to the kernel.
		b, err := unix.Mmap(-1, 0, headEntries+size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return fmt.Errorf("take memory for a table: %w", err)
		}
		defer func() { _ = unix.Munmap(b) }()
		copy(b, table)
		binary.NativeEndian.PutUint32(b[tableName:], uint32(size))
		if err := getsockopt(fd, x.level, optEntries, b); err != nil {
			return err
		}
		legacyRules(x, b[headEntries:], func(r *rule) { c.add(r) })
		return nil
	})
}

// legacyRules reads a table's entries, and stops at an entry that is too short.
func legacyRules(x *xtables, entries []byte, add func(*rule)) {
	for len(entries) >= x.matches {
		target := int(binary.NativeEndian.Uint16(entries[x.target:]))
		next := int(binary.NativeEndian.Uint16(entries[x.target+2:]))
		if target < x.matches || next < target+xtHeader || next > len(entries) {
			return
		}
		var r rule
		for m := entries[x.matches:target]; len(m) >= xtHeader; {
			size := int(binary.NativeEndian.Uint16(m))
			if size < xtHeader || size > len(m) {
				return
			}
			r.match(text(m[2:xtHeader-1]), m[xtHeader:size])
			m = m[size:]
		}
		r.target(text(entries[target+2:target+xtHeader-1]), entries[target+xtHeader:next])
		add(&r)
		entries = entries[next:]
	}
}
