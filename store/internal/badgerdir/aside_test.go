package badgerdir

import (
	"os"
	"path/filepath"
	"testing"
)

// What is set aside never takes the place of what was set aside before, and one log is kept once.
func TestSetAsideWritesOverNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, want := range []string{"00001.mem", "00001+1.mem", "00001+2.mem"} {
		path, err := asidePath(dir, "00001.mem")
		if err != nil || filepath.Base(path) != want {
			t.Errorf("name %d: %s, %v, want %s", i, path, err, want)
		}
		must(t, os.WriteFile(path, []byte{byte(i)}, 0o600))
	}
	if !isAside(dir, []byte{1}) || isAside(dir, []byte{7}) || isAside(dir, []byte{1, 2}) {
		t.Error("a log that is kept is not told from one that is not")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
