// Package seal puts a checksum behind a value. It covers the key too, so a value that was damaged, or that belongs to
// another key, is recognized.
package seal

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/dncd/dncd/store/internal/fault"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Bytes is how much longer a sealed value is.
const Bytes = 4

// CRC is the checksum of a key and its value.
func CRC(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// Value appends the checksum to a value.
func Value(key, value []byte) []byte {
	return binary.LittleEndian.AppendUint32(value, CRC(key, value))
}

// Open returns the value inside a sealed one. Its error is fault.ErrDamaged.
func Open(key, sealed []byte) ([]byte, error) {
	n := len(sealed) - Bytes
	if n < 0 || binary.LittleEndian.Uint32(sealed[n:]) != CRC(key, sealed[:n]) {
		return nil, fault.DamagedKey(key)
	}
	return sealed[:n:n], nil
}

// Holds reports whether a sealed value is the one that was written under its key.
func Holds(key, sealed []byte) bool {
	_, err := Open(key, sealed)
	return err == nil
}

// End finds where the sealed value of key ends that b begins with.
func End(key, b []byte) (n int, ok bool) {
	crc := crc32.Checksum(key, castagnoli)
	for n := range len(b) - Bytes + 1 {
		if binary.LittleEndian.Uint32(b[n:]) == crc {
			return n + Bytes, true
		}
		crc = crc32.Update(crc, castagnoli, b[n:n+1])
	}
	return 0, false
}

// ChainCRC adds one more checksum to a total that depends on their order.
func ChainCRC(total, crc uint32) uint32 {
	b := [4]byte{byte(crc >> 24), byte(crc >> 16), byte(crc >> 8), byte(crc)}
	return crc32.Update(total, castagnoli, b[:])
}
