package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// A limit of the process is an error of its own: the store is not called damaged, and a start or an fsck that it ends
// changes nothing.
func TestLimitsAreNoDamage(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		openUnderLimits(t, dir)
		return
	}
	d := makeStore(t, true)
	if out, err := childCommand(t, childDir+"="+d.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, lastLines(out, 40))
	}
	d.wantWhole(t, false)
}

func openUnderLimits(t *testing.T, dir string) {
	refused := map[error]int{}
	for _, c := range []struct {
		limit  int
		number syscall.Errno
		values []uint64
	}{
		{unix.RLIMIT_NOFILE, syscall.EMFILE, []uint64{8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 64}},
		{unix.RLIMIT_FSIZE, syscall.EFBIG, []uint64{4096, 1 << 20}},
	} {
		for _, value := range c.values {
			before := treeOf(t, dir)
			var s *Store
			var r Report
			var opening, checking error
			under(t, c.limit, value, func() {
				r, checking = Fsck(context.Background(), dir, testOptions())
				s, opening = Open(dir, testOptions())
			})
			if checking == nil && !r.OK() {
				t.Errorf("limit %d of %d: fsck finds %v", c.limit, value, r.Problems)
			}
			for _, err := range []error{checking, opening} {
				if err == nil {
					continue
				}
				if refused[c.number]++; !errors.Is(err, ErrSystem) || !errors.Is(err, c.number) || errors.Is(err, ErrDamaged) {
					t.Errorf("limit %d of %d: %v, want ErrSystem with %v", c.limit, value, err, c.number)
				}
			}
			if opening == nil {
				if cause := s.State().Cause; cause != nil {
					t.Errorf("limit %d of %d: open, and %v", c.limit, value, cause)
				}
				closeStore(t, s)
			} else if diff := cmp.Diff(before, treeOf(t, dir)); diff != "" && c.number == syscall.EMFILE {
				t.Errorf("limit %d of %d: a refused start changed files:\n%s", c.limit, value, diff)
			}
		}
		if refused[c.number] == 0 {
			t.Errorf("nothing met limit %d: this test proves nothing", c.limit)
		}
	}
}

// under runs f while a limit of the process is lower.
func under(t *testing.T, limit int, value uint64, f func()) {
	t.Helper()
	var before unix.Rlimit
	err := unix.Getrlimit(limit, &before)
	if err = errors.Join(err, unix.Setrlimit(limit, &unix.Rlimit{Cur: value, Max: before.Max})); err != nil {
		t.Skip("needs to set limits:", err)
	}
	f()
	if err := unix.Setrlimit(limit, &before); err != nil {
		t.Fatal(err)
	}
}

// The database may lie elsewhere, behind a link, and is checked, served and mended there.
func TestDatabaseBehindALink(t *testing.T) {
	t.Parallel()
	for _, part := range []string{badgerDir, storiesDir, blocksDir} {
		t.Run(part, func(t *testing.T) {
			d := makeStore(t, true)
			elsewhere := filepath.Join(t.TempDir(), part)
			relative, err := filepath.Rel(d.dir, elsewhere)
			err = errors.Join(err, os.Rename(filepath.Join(d.dir, part), elsewhere), os.Symlink(relative, filepath.Join(d.dir, part)))
			if err != nil {
				t.Fatal(err)
			}
			if r := mustFsck(t, d.dir); !r.OK() || r.Revision != d.last || r.Missing.Stories > 0 {
				t.Fatalf("fsck: %+v", r)
			}
			cut(t, d.file(t, "badger/*.sst"), 1)
			before := treeOf(t, elsewhere)
			r, err := Repair(context.Background(), d.dir, false, testOptions())
			if err != nil || len(r.Unloaded) > 0 {
				t.Fatalf("repair: %+v, %v", r, err)
			}
			if diff := cmp.Diff(before, treeOf(t, elsewhere)); diff != "" {
				t.Errorf("repair changed files:\n%s", diff)
			}
			kept, err := filepath.EvalSymlinks(filepath.Join(r.Kept, part))
			if want, _ := filepath.EvalSymlinks(elsewhere); err != nil || kept != want {
				t.Errorf("kept: %s, %v, want %s", kept, err, want)
			}
			if r := mustFsck(t, d.dir); !r.OK() || r.Missing.Stories > 0 {
				t.Errorf("after repair: %+v", r)
			}
			d.wantWhole(t, false)
		})
	}
}
