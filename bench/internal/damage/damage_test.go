package damage

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestEachHarmChangesItsFileAlone(t *testing.T) {
	t.Parallel()
	from, older := t.TempDir(), t.TempDir()
	content := append(bytes.Repeat([]byte("0123456789"), 2000), make([]byte, 10_000)...)
	for _, dir := range []string{from, older} {
		write(t, filepath.Join(dir, "a", "one.sst"), content)
		write(t, filepath.Join(dir, "mark"), []byte("short"))
	}
	write(t, filepath.Join(older, "mark"), []byte("older"))
	harms, err := Harms(rand.New(rand.NewPCG(1, 1)), from, older, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, h := range harms {
		seen[h.Part()+" "+h.Kind]++
		dir := filepath.Join(t.TempDir(), "copy")
		if err := CopyTree(from, dir); err != nil {
			t.Fatal(err)
		}
		before := sum(t, dir)
		if err := h.Do(dir, older); err != nil {
			t.Fatalf("%v: %v", h, err)
		}
		if sum(t, dir) == before {
			t.Errorf("%v: nothing changed", h)
		}
	}
	for _, want := range []string{
		"a/*.sst delete", "a/*.sst empty", "a/*.sst half", "a/*.sst cut", "a/*.sst append",
		"a/*.sst head", "a/*.sst middle", "a/*.sst tail", "a/*.sst footer", "mark older", "mark head", "mark footer",
	} {
		if seen[want] != 1 {
			t.Errorf("got %d of %q, want 1; all: %v", seen[want], want, seen)
		}
	}
	if seen["a/*.sst older"] != 0 {
		t.Error("an older copy with the same content was offered")
	}
}

func TestCopyIsTheSame(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	content := make([]byte, 3<<20+17)
	copy(content[1<<20:], "in the middle")
	write(t, filepath.Join(from, "d", "sparse"), content)
	if err := CopyTree(from, to); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(to, "d", "sparse"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v, want the %d of the original", len(got), err, len(content))
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func sum(t *testing.T, dir string) string {
	t.Helper()
	s, err := Sum(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
