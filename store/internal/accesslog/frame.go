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

// frameAt returns the entry of the frame at the start of b; false when there is none.
func frameAt(b []byte) (entry []byte, ok bool) {
	n, whole := lengthAt(b)
	if !whole {
		return nil, false
	}
	entry = b[headBytes : headBytes+n]
	return entry, frameCRC(b, entry) == binary.LittleEndian.Uint32(b[4:])
}

// lengthAt returns the length at the start of b, and whether b holds a whole frame of that length.
func lengthAt(b []byte) (n int, whole bool) {
	if len(b) < headBytes {
		return 0, false
	}
	n = int(binary.LittleEndian.Uint32(b))
	return n, n > 0 && n <= maxEntryBytes && headBytes+n <= len(b)
}

// isTorn reports whether b, which begins with no frame, is what a crash leaves of a write that was never acknowledged: a part of
// a frame, or zeros.
func isTorn(b []byte) bool {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return true
	}
	n, _ := lengthAt(b)
	return len(b) < headBytes || n > 0 && n <= maxEntryBytes && headBytes+n > len(b)
}
