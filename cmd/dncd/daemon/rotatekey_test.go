package daemon_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
)

// storeWithKey makes a store with a signing key, and returns the key's file.
func storeWithKey(t *testing.T) (dir, file string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	if code, _, stderr := run(t, "init", "--data", dir); code != 0 {
		t.Fatal(stderr)
	}
	text, public, err := feed.NewKey("dncd-first")
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "signing-key")
	writeFile(t, file, text+"\n")
	writeFile(t, file+".pub", public.Text()+"\n")
	return dir, file
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readSigningKey(t *testing.T, file string) feed.SigningKey {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	k, err := feed.ParseSigningKey(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Whenever a rotation is killed, the file holds the old key or its successor with the note, the next rotation and the server work
// with it, and the public half beside it is that of the key that signs.
func TestRotateKeyKilled(t *testing.T) {
	t.Parallel()
	dir, file := storeWithKey(t)
	first := readSigningKey(t, file)
	for round := range 15 {
		cmd := exec.Command(os.Args[0], "rotate-key", "--data", dir)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round) * 3 * time.Millisecond)
		_ = cmd.Process.Kill() // it fails if the process has ended
		_ = cmd.Wait()
		leadsFrom(t, first, readSigningKey(t, file))
	}
	before := readSigningKey(t, file)
	writeFile(t, file+".new", "left by a rotation that was killed")
	if code, _, stderr := run(t, "rotate-key", "--data", dir); code != 0 {
		t.Fatal(stderr)
	}
	now := readSigningKey(t, file)
	leadsFrom(t, first, now)
	if len(now.Rotations) != len(before.Rotations)+1 {
		t.Errorf("%d rotations after %d", len(now.Rotations), len(before.Rotations))
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the key: %v, %v", info.Mode(), err)
	}

	writeFile(t, file+".pub", first.Public().Text()+"\n") // killed before it was written
	p := startProcess(t, serveArgs(dir)...)
	if code := p.stop(); code != 0 {
		t.Fatal(p.stderr)
	}
	if text, err := os.ReadFile(file + ".pub"); err != nil || strings.TrimSpace(string(text)) != now.Public().Text() {
		t.Errorf("the public half is %s, %v; want that of the key that signs", text, err)
	}
}

func leadsFrom(t *testing.T, first, now feed.SigningKey) {
	t.Helper()
	rotations, err := feed.OpenRotations(now.Rotations)
	if err != nil {
		t.Fatal(err)
	}
	if !feed.HoldsKey(feed.Successors([]feed.PublicKey{first.Public()}, rotations), now.Public()) {
		t.Fatal("nothing leads from the first key to the one that signs")
	}
}

// The file that a link names is replaced, not the link.
func TestRotateKeyBehindLink(t *testing.T) {
	t.Parallel()
	dir, file := storeWithKey(t)
	kept := filepath.Join(t.TempDir(), "key")
	if err := os.Rename(file, kept); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kept, file); err != nil {
		t.Skip(err)
	}
	before := readSigningKey(t, file)
	if code, _, stderr := run(t, "rotate-key", "--data", dir, "--signing-key", file); code != 0 {
		t.Fatal(stderr)
	}
	if target, err := os.Readlink(file); err != nil || target != kept {
		t.Errorf("the link is gone: %q, %v", target, err)
	}
	leadsFrom(t, before, readSigningKey(t, kept))
	if len(readSigningKey(t, kept).Rotations) != 1 {
		t.Error("the file that the link names was not replaced")
	}
}
