package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/fault"
)

func made(t *testing.T) (dir string, s *Secret) {
	t.Helper()
	dir = t.TempDir()
	s, err := Make(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func TestSecretReadsBack(t *testing.T) {
	t.Parallel()
	dir, s := made(t)
	got, err := Read(dir)
	if err != nil || *got != *s || *got == (Secret{}) {
		t.Errorf("got %v, and the same: %v", err, got != nil && *got == *s)
	}
	if info, err := os.Stat(filepath.Join(dir, Name)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v and %v, want a file for its owner alone", info.Mode(), err)
	}
	if _, other := made(t); *other == *s {
		t.Error("two directories have the same secret")
	}
}

// A file that is not as it was written is damage, whatever is wrong with it; one that is not there is not.
func TestSecretThatIsNotWhole(t *testing.T) {
	t.Parallel()
	dir, _ := made(t)
	path := filepath.Join(dir, Name)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	harmed := [][]byte{nil, whole[:keyBytes], whole[:len(whole)-1], append(whole[:len(whole):len(whole)], 0), make([]byte, len(whole))}
	for i := range whole {
		b := append([]byte(nil), whole...)
		b[i] ^= 1
		harmed = append(harmed, b)
	}
	for _, b := range harmed {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(dir); !errors.Is(err, fault.ErrDamaged) {
			t.Errorf("%d bytes: got %v, want damage", len(b), err)
		}
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, fault.ErrDamaged) {
		t.Errorf("without a file: got %v, want that it is not there", err)
	}
}

// The bytes that tags and blinds are computed from are part of the design: subscribers keep them.
func TestSecretVectors(t *testing.T) {
	t.Parallel()
	s := new(Secret)
	for i := range s.key {
		s.key[i] = byte(i)
	}
	mac := func(message string) []byte {
		h := hmac.New(sha256.New, s.key[:])
		h.Write([]byte(message))
		return h.Sum(nil)
	}
	chain := sha256.Sum256([]byte("chain"))
	if got, want := s.Tag(chain), mac("dncd position"+string(chain[:])); string(got[:]) != string(want[:8]) {
		t.Errorf("tag: got %x, want %x", got, want[:8])
	}
	got := s.Blinder(policy.EventID{Revision: 7}).Blind(policy.EventID{Revision: 12, Index: 3})
	if want := mac("dncd blind\n7.0\n12.3"); string(got[:]) != string(want) {
		t.Errorf("blind: got %x, want %x", got, want)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	_, s := made(t)
	mac := s.MAC("dncd test", []byte("a"), []byte("b"))
	for n := TagBytes; n <= len(mac); n++ {
		if !s.Verify(mac[:n], "dncd test", []byte("ab")) {
			t.Errorf("%d bytes of it are refused", n)
		}
	}
	for name, c := range map[string]struct {
		mac   []byte
		label string
		text  string
	}{
		"none":          {nil, "dncd test", "ab"},
		"too short":     {mac[:TagBytes-1], "dncd test", "ab"},
		"too long":      {append(mac[:], 0), "dncd test", "ab"},
		"another":       {append([]byte{mac[0] ^ 1}, mac[1:]...), "dncd test", "ab"},
		"another label": {mac[:], "dncd tesu", "ab"},
		"another text":  {mac[:], "dncd test", "aB"},
	} {
		if s.Verify(c.mac, c.label, []byte(c.text)) {
			t.Errorf("%s is taken", name)
		}
	}
}
