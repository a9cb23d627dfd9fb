package decode

import (
	"fmt"
	"os"
	"reflect"
	"syscall"

	"github.com/google/gopacket/layers"
)

// ReleaseTables gives back some 5 MiB that gopacket's init fills in: which
// decoder follows each of 65,536 Ethernet and PPP types, and the names of
// ports. This package decodes single layers and asks for none of these; whoever
// else does in this process finds them empty afterwards. It is called once,
// before anything is decoded.
func ReleaseTables() error {
	layers.TCPPortNames, layers.UDPPortNames, layers.SCTPPortNames = nil, nil, nil
	for _, table := range []*[1 << 16]layers.EnumMetadata{&layers.EthernetTypeMetadata, &layers.PPPTypeMetadata} {
		clear(table[:])
		if err := unmapZeros(reflect.ValueOf(table).Pointer(), uintptr(len(table))*reflect.TypeOf(table).Elem().Elem().Size()); err != nil {
			return fmt.Errorf("release gopacket's tables: %w", err)
		}
	}
	return nil
}

// unmapZeros gives memory that holds zeros back to the kernel, page by page;
// read again, it holds zeros.
func unmapZeros(at, size uintptr) error {
	page := uintptr(os.Getpagesize())
	from, to := (at+page-1)/page*page, (at+size)/page*page
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, to-from, syscall.MADV_DONTNEED); errno != 0 {
		return errno
	}
	return nil
}
