package badgerdir

import (
	"encoding/binary"
	"hash/crc32"
	"iter"
	"math"
)

// Badger's memtable log: a header, then entries of meta, user meta, varint lengths and expiry, key with its version,
// value, CRC. It ends in zeros. Replay stops at the first entry that is not whole and cuts the rest off: right after a
// power cut, which tears what was never acknowledged; wrong after a flipped bit, which has whole entries behind it.
const (
	logHeaderBytes = 20
	logVersion     = 8 // bytes of a key's version
	minLogKey      = 1 + logVersion
	maxLogKey      = 64 // ours are shorter
	logCRC         = 4
	logDeleted     = 1 << 0
	logInTxn       = 1 << 6
	logEndOfTxn    = 1 << 7
)

var logTable = crc32.MakeTable(crc32.Castagnoli)

// logEntry is one entry of a log.
type logEntry struct {
	key     []byte
	version uint64
	value   []byte
	meta    byte
	size    int
}

// parseLogEntry reads the entry that b begins with; false when there is no whole one.
func parseLogEntry(b []byte) (e logEntry, ok bool) {
	if len(b) < 2 {
		return e, false
	}
	e.meta = b[0]
	at := 2
	var head [3]uint64 // key length, value length, expiry
	for i := range head {
		v, n := binary.Uvarint(b[at:])
		if n <= 0 {
			return e, false
		}
		head[i], at = v, at+n
	}
	keyLen, valueLen := head[0], head[1]
	if keyLen < minLogKey || keyLen > maxLogKey || valueLen > maxValueBytes || uint64(len(b)-at) < keyLen+valueLen+logCRC {
		return e, false
	}
	end := at + int(keyLen+valueLen)
	if binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], logTable) {
		return e, false
	}
	key := b[at : at+int(keyLen)]
	e.key, e.value = key[:len(key)-logVersion], b[at+int(keyLen):end]
	e.version = math.MaxUint64 - binary.BigEndian.Uint64(key[len(key)-logVersion:])
	e.size = end + logCRC
	return e, true
}

// scanLog yields the whole entries of a log, also those behind bytes that are no entry. For such a byte, unless it is zero,
// it yields false.
func scanLog(content []byte) iter.Seq2[logEntry, bool] {
	content = content[min(logHeaderBytes, len(content)):]
	for end := len(content); end > 0 && content[end-1] == 0; end-- {
		content = content[:end-1]
	}
	// The last entry may end in zeros of its own.
	content = content[:min(len(content)+logCRC, cap(content))]
	return func(yield func(logEntry, bool) bool) {
		for at := 0; at < len(content); {
			e, ok := parseLogEntry(content[at:])
			if (ok || content[at] != 0) && !yield(e, ok) {
				return
			}
			at += max(e.size, 1)
		}
	}
}

// isTorn reports whether a log holds anything but whole entries.
func isTorn(log []byte) bool {
	for _, whole := range scanLog(log) {
		if !whole {
			return true
		}
	}
	return false
}
