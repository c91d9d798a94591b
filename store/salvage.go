package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4/fb"
)

// salvage reads what can be read of a damaged Badger directory, without changing it: each table and each log by itself.
// It calls f for every key, version and value, in no order, some twice. It asks neither MANIFEST nor
// checksums of tables: the caller checks each value by its own CRC.
func salvage(dir string, log *slog.Logger, f func(key []byte, version uint64, value []byte) error) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		switch filepath.Ext(file.Name()) {
		case ".sst":
			err = salvageTable(path, f)
		case ".mem":
			err = salvageLog(path, f)
		}
		var failed salvageError
		if errors.As(err, &failed) {
			return failed.err
		}
		if err != nil {
			log.Warn("a damaged file could not be read whole", "file", file.Name(), "err", err)
		}
	}
	return nil
}

// salvageError is the caller's own failure: not damage to pass over.
type salvageError struct{ err error }

func (e salvageError) Error() string { return e.err.Error() }

// salvageTable yields the entries of a table, block by block: a damaged block costs itself alone. Its index is used even
// where its checksum fails: what it misplaces does not decode.
func salvageTable(path string, f func(key []byte, version uint64, value []byte) error) (err error) {
	defer recoverDamage(&err)
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rest, _, err := cutTail(content)
	if err != nil {
		return err
	}
	blocks, index, err := cutTail(rest)
	if err != nil {
		return err
	}
	places := fb.GetRootAsTableIndex(index, 0)
	for i := range min(places.OffsetsLength(), len(blocks)) {
		var at fb.BlockOffset
		if !places.Offsets(&at, i) || uint64(at.Offset())+uint64(at.Len()) > uint64(len(blocks)) {
			continue
		}
		if err := salvageBlock(blocks[at.Offset():at.Offset()+at.Len()], f); err != nil {
			return err
		}
	}
	return nil
}

// salvageBlock yields the entries of a block that can be told apart. A block is entries, the places of the entries, their
// number, and a checksum. An entry is how many bytes of its key it shares with the first key and how many of its own
// follow, these, and the value behind its meta, user meta and expiry.
func salvageBlock(block []byte, f func(key []byte, version uint64, value []byte) error) error {
	body, _, _ := cutTail(block) // nil where there is no tail
	if len(body) < 4 {
		return nil
	}
	body, count := body[:len(body)-4], uint64(binary.BigEndian.Uint32(body[len(body)-4:]))
	if count*4 > uint64(len(body)) {
		return nil
	}
	places := body[uint64(len(body))-count*4:]
	body = body[:len(body)-len(places)]
	var first []byte
	for i := range count {
		start, end := int(binary.LittleEndian.Uint32(places[4*i:])), len(body)
		if i+1 < count {
			end = int(binary.LittleEndian.Uint32(places[4*i+4:]))
		}
		if start < 0 || start+4 > end || end > len(body) {
			continue
		}
		key, value, ok := parseBlockEntry(body[start:end], first)
		if i == 0 {
			first = key
		}
		if !ok || len(key) <= logVersion {
			continue
		}
		version := math.MaxUint64 - binary.BigEndian.Uint64(key[len(key)-logVersion:])
		if err := f(key[:len(key)-logVersion], version, value); err != nil {
			return salvageError{err}
		}
	}
	return nil
}

// parseBlockEntry reads one entry; false when it is not whole, or a deletion.
func parseBlockEntry(b, first []byte) (key, value []byte, ok bool) {
	shared, own := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	b = b[4:]
	if shared > len(first) || own > len(b) {
		return nil, nil, false
	}
	key = slices.Concat(first[:shared], b[:own])
	if b = b[own:]; len(b) < 2 {
		return key, nil, false
	}
	meta := b[0]
	_, n := binary.Uvarint(b[2:])
	if n <= 0 {
		return key, nil, false
	}
	return key, b[2+n:], meta&logDeleted == 0
}

// recoverDamage turns a panic of Badger's decoders over damaged bytes into an error.
func recoverDamage(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %s", ErrDamaged, strings.SplitN(fmt.Sprint(p), "\n", 2)[0])
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
