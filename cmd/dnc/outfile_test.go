package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeOut writes text to a file as `dnc check --file --out` does.
func writeOut(t *testing.T, a *app, name, text string) {
	t.Helper()
	out, err := a.openOut(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.abandon()
	if _, err := out.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := out.keep(); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
	}
}

func TestOutReplacesWhatALinkLeadsTo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, link, target string // the link's text, and where it leads
		isNew              bool
	}{
		{"absolute", "DIR/real/out.csv", "real/out.csv", false},
		{"relative", "real/out.csv", "real/out.csv", false},
		{"to a new file", "real/new.csv", "real/new.csv", true},
		{"by a linked directory", "alias/up.csv", "real/new.csv", true},
		{"to a link", "second", "real/out.csv", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			text := tt.link
			if name, ok := strings.CutPrefix(text, "DIR/"); ok {
				text = at(name)
			}
			for _, err := range []error{
				os.MkdirAll(at("deep/real"), 0o700), os.Symlink("deep/real", at("real")), os.Symlink("deep/real", at("alias")),
				os.Symlink("../real/new.csv", at("deep/real/up.csv")), os.Symlink("real/out.csv", at("second")),
				os.WriteFile(at("real/out.csv"), []byte("before"), 0o600), os.Symlink(text, at("link")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			writeOut(t, &app{}, at("link"), "after")
			if info, err := os.Lstat(at("link")); err != nil || info.Mode()&os.ModeSymlink == 0 {
				t.Errorf("the link is now %v (%v)", info, err)
			}
			wantFile(t, at(tt.target), "after")
			if tt.isNew {
				wantFile(t, at("real/out.csv"), "before")
			}
		})
	}
}

// Permissions are those of the file that is replaced; a new one is for its owner alone.
func TestOutFilesKeepTheirPermissions(t *testing.T) {
	t.Parallel()
	writeRejects := func(t *testing.T, _ *app, name, text string) {
		var l rejectLog
		if err := l.create(name); err != nil {
			t.Fatal(err)
		}
		l.write(text)
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
	}
	for what, write := range map[string]func(*testing.T, *app, string, string){"--out": writeOut, "--rejects": writeRejects} {
		for _, had := range []os.FileMode{0, 0o640, 0o664, 0o600} {
			name, want := filepath.Join(t.TempDir(), "out.csv"), os.FileMode(0o600)
			if had != 0 {
				want = had
				if err := errors.Join(os.WriteFile(name, []byte("before"), 0o600), os.Chmod(name, had)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, &app{}, name, "after")
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s over a file of mode %v: got %v (%v), want %v", what, had, info.Mode(), err, want)
			}
		}
	}
}

// Another name of standard output, as /dev/stdout is one, is written to as that: what was there before it stays.
func TestOutToStandardOutput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "stdout")
	if err := os.WriteFile(file, []byte("before "), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	writeOut(t, &app{stdout: stdout}, link, "after")
	wantFile(t, file, "before after")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is now %v (%v)", info, err)
	}
}

func TestOutOfALinkLoop(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "loop")
	if err := os.Symlink("loop", link); err != nil {
		t.Fatal(err)
	}
	if _, err := (&app{}).openOut(link); err == nil {
		t.Error("a link to itself is written to")
	}
}

// What is no file is refused, such as a pipe that a link of /proc leads to.
func TestOutOfWhatIsNoFile(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	link := filepath.Join(t.TempDir(), "pipe")
	if err := os.Symlink(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), link); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(link); err != nil {
		t.Skip("needs /proc:", err)
	}
	for _, name := range []string{link, t.TempDir()} {
		if _, err := (&app{}).openOut(name); err == nil || !strings.HasSuffix(err.Error(), " is not a file") {
			t.Errorf("--out %s: got %v", name, err)
		}
	}
}
