package accesslog

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A frame is the length of an entry, a CRC over the length and the entry, and the entry. Integers are little-endian.
const (
	headBytes     = 8
	maxEntryBytes = 8 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendFrame(to, entry []byte) []byte {
	head := len(to)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(entry)))
	to = binary.LittleEndian.AppendUint32(to, frameCRC(to[head:], entry))
	return append(to, entry...)
}

func frameCRC(length, entry []byte) uint32 {
	return crc32.Update(crc32.Checksum(length[:4], castagnoli), castagnoli, entry)
}

// frameAt is the entry of the frame that b begins with; false when it begins with none.
func frameAt(b []byte) (entry []byte, ok bool) {
	n, whole := lengthAt(b)
	if !whole {
		return nil, false
	}
	entry = b[headBytes : headBytes+n]
	return entry, frameCRC(b, entry) == binary.LittleEndian.Uint32(b[4:])
}

// lengthAt is the length that b begins with, and whether so much is there.
func lengthAt(b []byte) (n int, whole bool) {
	if len(b) < headBytes {
		return 0, false
	}
	n = int(binary.LittleEndian.Uint32(b))
	return n, n > 0 && n <= maxEntryBytes && headBytes+n <= len(b)
}

// isTorn reports whether b, where no frame begins, is what a crash leaves of a write that was never acknowledged: a part of a
// frame, or room that was not written.
func isTorn(b []byte) bool {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return true
	}
	n, _ := lengthAt(b)
	return len(b) < headBytes || n > 0 && n <= maxEntryBytes && headBytes+n > len(b)
}
