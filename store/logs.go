package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// Badger's memtable log: a header, then entries of meta, user meta, varint lengths and expiry, key with its version,
// value, CRC. It ends in zeros. Replay stops at the first entry that is not whole and cuts the rest off: right after a
// power cut, which tears what was never acknowledged; wrong after a flipped bit, which has whole entries behind it.
const (
	logHeaderBytes = 20
	logVersion     = 8 // bytes of a key's version
	minLogKey      = 1 + logVersion
	maxLogKey      = 64 // ours are shorter
	logDeleted     = 1 << 0
	logInTxn       = 1 << 6
	logEndOfTxn    = 1 << 7
)

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
	if keyLen < minLogKey || keyLen > maxLogKey || valueLen > maxValueBytes || uint64(len(b)-at) < keyLen+valueLen+crcBytes {
		return e, false
	}
	end := at + int(keyLen+valueLen)
	if binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return e, false
	}
	key := b[at : at+int(keyLen)]
	e.key, e.value = key[:len(key)-logVersion], b[at+int(keyLen):end]
	e.version = math.MaxUint64 - binary.BigEndian.Uint64(key[len(key)-logVersion:])
	e.size = end + crcBytes
	return e, true
}

// walkLog calls f for each whole entry of a log, also behind ones that are not, and reports whether there were such.
func walkLog(content []byte, f func(logEntry) error) (torn bool, err error) {
	content = content[min(logHeaderBytes, len(content)):]
	for end := len(content); end > 0 && content[end-1] == 0; end-- {
		content = content[:end-1]
	}
	// The last entry may end in zeros of its own.
	content = content[:min(len(content)+crcBytes, cap(content))]
	for at := 0; at < len(content); {
		e, ok := parseLogEntry(content[at:])
		if !ok {
			torn = torn || content[at] != 0
			at++
			continue
		}
		if err := f(e); err != nil {
			return torn, err
		}
		at += e.size
	}
	return torn, nil
}

// salvageLog yields the entries of a memtable's log.
func salvageLog(path string, f func(saved) error) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = walkLog(content, func(e logEntry) error {
		if e.meta&(logDeleted|logEndOfTxn) != 0 {
			return nil
		}
		if err := f(saved{e.key, e.version, e.value, true}); err != nil {
			return salvageError{err}
		}
		return nil
	})
	return err
}

// keepTornLogs copies the logs that Badger will cut off to the tables set aside: should verification find that what was
// cut had been acknowledged, repair needs them.
func keepTornLogs(opt badger.Options) error {
	dir := opt.Dir
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("check log file: %w", err)
		}
		torn, _ := walkLog(content, func(logEntry) error { return nil })
		if !torn || isAside(dir+unlistedSuffix, content) {
			continue
		}
		if err := os.MkdirAll(dir+unlistedSuffix, 0o700); err != nil {
			return fmt.Errorf("keep a log file: %w", err)
		}
		kept, err := asidePath(dir+unlistedSuffix, filepath.Base(path))
		if err != nil {
			return fmt.Errorf("keep a log file: %w", err)
		}
		if err := copyFile(path, kept); err != nil {
			return fmt.Errorf("keep a log file: %w", err)
		}
	}
	return nil
}
