// Package secret keeps the 32 random bytes of a data directory. They make the tags of positions and the blinds of
// changes, which nobody can compute who does not have them. They are made once, and belong to every copy of the directory.
package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/seal"
)

// Name is the file's name in the data directory. It holds the bytes and a checksum.
const Name = "secret"

const keyBytes = 32

// TagBytes is the length of a tag.
const TagBytes = 8

// Secret is that of one data directory. Its methods may be called from any goroutine.
type Secret struct{ key [keyBytes]byte }

// Read reads the secret of a directory. Errors: fault.ErrDamaged for a file that holds none, and those of the file.
func Read(dir string) (*Secret, error) {
	b, err := os.ReadFile(filepath.Join(dir, Name))
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	key, err := seal.Open([]byte(Name), b)
	if err != nil || len(key) != keyBytes {
		return nil, fmt.Errorf("%w: the file %s does not hold what was written", fault.ErrDamaged, Name)
	}
	return &Secret{key: [keyBytes]byte(key)}, nil
}

// Make makes a secret and writes it, durably, before anything uses it. A file of that name is replaced.
func Make(dir string) (*Secret, error) {
	s := new(Secret)
	rand.Read(s.key[:])
	err := disk.WriteFile(filepath.Join(dir, Name), func(w io.Writer) error {
		_, err := w.Write(seal.Value([]byte(Name), s.key[:len(s.key):len(s.key)]))
		return err
	})
	if err != nil {
		return nil, disk.WriteError("write secret", err)
	}
	return s, nil
}

// MAC is the HMAC-SHA-256 under the secret of a label and the parts, one after the other. Each use has a label of its own,
// and none of them begins another.
func (s *Secret) MAC(label string, parts ...[]byte) (mac [sha256.Size]byte) {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte(label))
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(mac[:0])
	return mac
}

// Verify reports whether mac is the beginning of the MAC of a label and the parts, TagBytes or more of it. Its time does not
// depend on where they differ.
func (s *Secret) Verify(mac []byte, label string, parts ...[]byte) bool {
	want := s.MAC(label, parts...)
	return len(mac) >= TagBytes && len(mac) <= len(want) && hmac.Equal(mac, want[:len(mac)])
}

// Tag is the tag of the revision with that chain hash.
func (s *Secret) Tag(chain [sha256.Size]byte) [TagBytes]byte {
	mac := s.MAC("dncd position", chain[:])
	return [TagBytes]byte(mac[:])
}

// Blinder makes the blinds of a subscriber's changes. It is for one goroutine, and allocates nothing once it was used.
type Blinder struct {
	mac    hash.Hash
	text   []byte // what the MAC is made over, and room
	prefix int    // of text, that all changes share
	sum    []byte // room
}

// Blinder returns the Blinder of a subscriber.
func (s *Secret) Blinder(subscriber policy.EventID) *Blinder {
	text := append(appendID([]byte("dncd blind\n"), subscriber), '\n')
	return &Blinder{mac: hmac.New(sha256.New, s.key[:]), text: text, prefix: len(text)}
}

// Blind hides a change from a person who has only its hash: nobody can try out every number. Each subscriber has its own.
func (b *Blinder) Blind(event policy.EventID) [sha256.Size]byte {
	b.text = appendID(b.text[:b.prefix], event)
	b.mac.Reset()
	b.mac.Write(b.text)
	b.sum = b.mac.Sum(b.sum[:0])
	return [sha256.Size]byte(b.sum)
}

// appendID appends an id as the texts of a feed have it, such as 7.0.
func appendID(b []byte, id policy.EventID) []byte {
	b = append(strconv.AppendUint(b, id.Revision, 10), '.')
	return strconv.AppendUint(b, uint64(id.Index), 10)
}
