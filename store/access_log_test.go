package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
)

func logAccess(t *testing.T, s *Store, name string) {
	t.Helper()
	e := AccessEntry{Name: name, Kind: access.Token, Method: "RecordService/GetNumber"}
	if err := s.LogAccess(context.Background(), e, fiction(415, 1)); err != nil {
		t.Fatal("log access:", err)
	}
}

func wantAccess(t *testing.T, s *Store, want ...string) {
	t.Helper()
	p, err := s.ReadAccess(AccessQuery{Number: uint64(fiction(415, 1)), Limit: 100})
	must(t, err)
	var got []string
	for _, e := range p.Entries {
		got = append(got, e.Name)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") || p.Unreadable != 0 {
		t.Errorf("got %v and %d bytes unreadable, want %v", got, p.Unreadable, want)
	}
}

// The access log is written and read whatever the store's own state is, and a repair and a copy that was put back leave it
// alone.
func TestAccessLogIsApartFromTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	optOut(t, s, fiction(415, 1), "acme")
	logAccess(t, s, "whole")
	s.fail(errors.New("a commit failed"))
	logAccess(t, s, "read-only")
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
	mustRestore(t, dir)
	must(t, os.Remove(filepath.Join(dir, journal.MarkName)))
	s = open(t, dir)
	if cause := s.State().Cause; !errors.Is(cause, ErrDamaged) {
		t.Fatalf("state %v, want ErrDamaged", cause)
	}
	logAccess(t, s, "damaged")
	wantAccess(t, s, "whole", "read-only", "damaged")
	closeStore(t, s)
	before := treeOf(t, filepath.Join(dir, accessDir))
	_, err := Repair(context.Background(), dir, true, testOptions())
	must(t, err)
	if after := treeOf(t, filepath.Join(dir, accessDir)); len(after) != len(before) {
		t.Errorf("a repair left %d files of %d", len(after), len(before))
	}
	s = open(t, dir)
	logAccess(t, s, "repaired")
	wantAccess(t, s, "whole", "read-only", "damaged", "repaired")
	if since, err := s.AccessKeptSince(); err != nil || since.IsZero() {
		t.Errorf("kept since %v, %v", since, err)
	}
}

// An access log that cannot be written fails what it is asked for, and nothing else.
func TestAccessLogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	must(t, os.WriteFile(filepath.Join(dir, accessDir), nil, 0o600))
	if err := s.LogAccess(context.Background(), AccessEntry{}, 0); !errors.Is(err, ErrAccessLog) {
		t.Errorf("got %v, want ErrAccessLog", err)
	}
	optOut(t, s, fiction(415, 1), "acme")
	if !s.State().Ready() || !s.State().Writable() {
		t.Errorf("state %v, want none", s.State().Cause)
	}
	must(t, os.Remove(filepath.Join(dir, accessDir)))
	logAccess(t, s, "again")
	wantAccess(t, s, "again")
}

// The access log may take room that writes may not: on a disk where they stop, who looks is still written down.
func TestAccessLogTakesItsOwnShareOfRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free := func(minFree int64) (write, access error) {
		o := testOptions()
		o.MinFree, o.Ballast = minFree, -1
		s := openWith(t, dir, o)
		defer closeStore(t, s)
		_, write = s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 1), Scope: "acme"}, Request{})
		access = s.LogAccess(context.Background(), AccessEntry{Name: "a"}, 0)
		return write, access
	}
	if write, access := free(1 << 60); !errors.Is(write, ErrDiskFull) || !errors.Is(access, ErrAccessLog) || !errors.Is(access, ErrDiskFull) {
		t.Errorf("no room for either: got %v and %v", write, access)
	}
	s := open(t, t.TempDir())
	room, err := disk.FreeBytes(s.dir)
	must(t, err)
	if write, access := free(room * 2); !errors.Is(write, ErrDiskFull) || access != nil {
		t.Errorf("room for the log alone: got %v and %v", write, access)
	}
}

// A directory that holds an access log alone holds no store, and none is made in it: it is what is left of one.
func TestAccessLogIsNoStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, accessDir), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, accessDir, "key"), nil, 0o600))
	if err := Find(dir); !errors.Is(err, ErrNoStore) {
		t.Errorf("got %v, want ErrNoStore", err)
	}
	if err := Init(dir); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("init: got %v, want ErrNotEmpty", err)
	}
}
