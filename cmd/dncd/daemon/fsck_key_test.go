package daemon_test

import (
	"os"
	"strings"
	"testing"
)

// A signing key with which dncd does not start is named by fsck, which leaves it in place: only a person replaces it.
func TestFsckNamesADamagedSigningKey(t *testing.T) {
	t.Parallel()
	dir, file := storeWithKey(t)
	if code, out, stderr := run(t, "fsck", "--data", dir); code != 0 || strings.Contains(out, "signs checkpoints") {
		t.Fatalf("with a good key: exit code %d: %s%s", code, out, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := string(text) + "x"
	writeFile(t, file, damaged)
	for _, args := range [][]string{{"fsck", "--data", dir}, {"fsck", "--data", dir, "--repair"}} {
		code, out, stderr := run(t, args...)
		if code != 1 || !strings.Contains(out, "the key that signs checkpoints, "+file+", cannot be read") || !strings.Contains(out, " is whole: ") {
			t.Errorf("%v: exit code %d: %s%s", args, code, out, stderr)
		}
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != damaged {
		t.Errorf("fsck changed the key: %v", err)
	}
}
