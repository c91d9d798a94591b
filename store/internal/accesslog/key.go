package accesslog

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/dncd/dncd/store/internal/disk"
)

// Hash stands for a number in the log: the first half of its HMAC-SHA-256 under the key in the log's directory. The same number
// has the same hash, and without the key the hash reveals nothing.
type Hash [16]byte

const (
	keyFile  = "key"
	keyBytes = 32
)

// key hashes numbers.
type key []byte

func (k key) hash(number uint64) (h Hash) {
	mac := hmac.New(sha256.New, k)
	mac.Write(strconv.AppendUint(nil, number, 10))
	copy(h[:], mac.Sum(nil))
	return h
}

// readKey reads the key of a log.
func readKey(dir string) (key, error) {
	b, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err == nil && len(b) != keyBytes {
		err = fmt.Errorf("%s has %d bytes, not %d", keyFile, len(b), keyBytes)
	}
	return b, err
}

// readOrMakeKey reads the key of a log, and makes one for a log without entries. A log with entries and no key is refused: under
// a new key, no number would be found in them.
func readOrMakeKey(dir string) (key, error) {
	k, err := readKey(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	days, listed := daysIn(dir)
	if listed != nil {
		return nil, listed
	}
	if len(days) > 0 {
		return nil, fmt.Errorf("%w: without it no number is found in the log: restore it from a backup, or move the whole directory away", err)
	}
	made := make([]byte, keyBytes)
	rand.Read(made)
	err = disk.WriteFile(filepath.Join(dir, keyFile), func(w io.Writer) error { _, err := w.Write(made); return err })
	return made, err
}
