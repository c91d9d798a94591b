package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A file that ends within a number is damaged, and does not read as one that ends.
func TestContentCutInANumberIsNoEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "numbers")
	if err := os.WriteFile(path, []byte{5, 0x80}, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	r := newNumberReader(f)
	defer r.close()
	if ok, err := r.next(); !ok || err != nil || r.at != 5 {
		t.Fatalf("first number %d, %v (%v), want 5", r.at, ok, err)
	}
	if ok, err := r.next(); ok || !errors.Is(err, ErrStage) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Errorf("a number that is cut: %v (%v), want ErrStage and io.ErrUnexpectedEOF alone", ok, err)
	}
}
