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
	b, err := openContent(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	if n, _ := b.number(); !b.more || n != 5 {
		t.Fatalf("first number %d, more %v, want 5 and more", n, b.more)
	}
	if err := b.next(); b.more || !errors.Is(err, ErrStage) || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Errorf("a number that is cut: more %v (%v), want ErrStage and io.ErrUnexpectedEOF alone", b.more, err)
	}
}
