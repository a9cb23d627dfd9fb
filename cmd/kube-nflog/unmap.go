//go:build linux && !cgo

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram has the kernel forget which pages of the program's code and
// constants this process has mapped. Most were for starting: initialising
// packages, parsing flags, a TLS handshake. The pages stay in the page cache,
// and those that are used again are mapped again, 16 at a time and without
// asking a disk, for about a microsecond.
func unmapProgram() (err error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	if fixed, err := isFixed(program); err != nil || !fixed {
		return err
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("read the memory map: %w", err)
	}
	defer func() { err = errors.Join(err, maps.Close()) }()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var from, to uintptr
		var rights string
		_, scanned := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &rights)
		// What is writable is not as it is in the file.
		if scanned != nil || strings.Contains(rights, "w") || !strings.HasSuffix(lines.Text(), " "+program) {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("unmap the program: %w", errno)
		}
	}
	return lines.Err()
}

// isFixed says whether a program is linked to run at one address. Of others the
// loader has changed pages that look as if they were the file's.
func isFixed(program string) (bool, error) {
	f, err := os.Open(program)
	if err != nil {
		return false, fmt.Errorf("look at the program: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read

	const typeOffset, executable = 16, 2 // e_type, ET_EXEC: elf(5)
	var typ [2]byte
	if _, err := f.ReadAt(typ[:], typeOffset); err != nil {
		return false, fmt.Errorf("look at the program: %w", err)
	}
	return binary.NativeEndian.Uint16(typ[:]) == executable, nil
}
