package peer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The test's program stands in for bench where a peer starts it again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == BadgerCommand {
		if err := LoadBadger(context.Background(), os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		return
	}
	os.Exit(m.Run())
}

// numbersFile makes a file of n fictional numbers that are all different.
func numbersFile(t *testing.T, n int) string {
	t.Helper()
	var text []byte
	for i := range n {
		text = fmt.Appendf(text, "%d,555%04d\n", 201+i/100, 100+i%100)
	}
	path := filepath.Join(t.TempDir(), "2026-09-09_numbers.txt")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPeers(t *testing.T) {
	file := numbersFile(t, 2100)
	for _, p := range All() {
		t.Run(p.Name, func(t *testing.T) {
			if why := p.Missing(); why != "" {
				t.Skip(why)
			}
			in := Input{Files: []string{file}, Count: 1500, Dir: openDir(t)}
			r, err := p.Load(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if r.Held != 1500 || r.Seconds <= 0 {
				t.Errorf("got %+v, want 1500 numbers held", r)
			}
			in = Input{Files: []string{file}, Count: 9999, Dir: openDir(t)}
			if r, err := p.Load(t.Context(), in); err == nil {
				t.Errorf("a load of 2100 numbers passes for one of 9999: %+v", r)
			}
		})
	}
}

// openDir returns a directory that a server which runs as another user can enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestChoose(t *testing.T) {
	tests := []struct {
		stores string
		names  int
		ok     bool
	}{
		{"none", 0, true},
		{"redis", 3, true},
		{"redis,postgres,badger", 5, true},
		{"redis,oracle", 0, false},
	}
	for _, tt := range tests {
		got, err := Choose(tt.stores)
		if len(got) != tt.names || (err == nil) != tt.ok {
			t.Errorf("%s: got %d peers, %v", tt.stores, len(got), err)
		}
	}
}
