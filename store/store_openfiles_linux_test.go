package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// A file of blocks that cannot be opened because too many files are is doubt as long as that lasts, and no damage.
func TestTooManyOpenFilesAreNoDamage(t *testing.T) {
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers := registryNumbers(5000)
	load(t, s, "a", Replace, numbers, Commit{})
	n := phone.Number(numbers[77])

	more := noMoreFiles(t)
	if f, err := os.Open(os.DevNull); !errors.Is(err, syscall.EMFILE) {
		f.Close()
		t.Fatalf("a file beyond the limit: %v, want EMFILE", err)
	}
	during := verdict(s.View(), n, "other", s.Now())
	more()
	if during.Verdict != policy.Unknown {
		t.Errorf("while no file can be opened: %v, want doubt", during.Verdict)
	}
	if cause := s.State().Cause; cause != nil {
		t.Errorf("after it: state %v, want no damage", cause)
	}
	wantVerdict(t, s, n, "other", policy.Block, policy.CauseNone)
	wantVerdict(t, s, phone.Number(numbers[77]+1), "other", policy.Allow, policy.CauseNone)
	optOut(t, s, fiction(415, 1), "")
}

// Nor is the list of the tables that cannot be read again: a write is refused, and made as soon as it can be.
func TestListOfTablesThatCannotBeOpenedIsNoDamage(t *testing.T) {
	s := open(t, t.TempDir())
	optOut(t, s, fiction(415, 1), "")
	must(t, os.Chtimes(filepath.Join(s.dir, badgerDir, "MANIFEST"), time.Time{}, time.Now().Add(time.Hour))) // as after a compaction
	more := noMoreFiles(t)
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 2)}, Request{})
	during := s.watch.intact()
	more()
	if !errors.Is(err, ErrSystem) || !errors.Is(during, ErrSystem) {
		t.Errorf("while no file can be opened: a write %v, the tables %v; want ErrSystem of both", err, during)
	}
	if cause := s.State().Cause; cause != nil {
		t.Errorf("after it: state %v, want no damage", cause)
	}
	optOut(t, s, fiction(415, 2), "")
}

// noMoreFiles keeps this process from opening another file until more is called.
func noMoreFiles(t *testing.T) (more func()) {
	t.Helper()
	var files syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: files.Max})) // those that are open stay so
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
			panic(err) // all that follows would fail
		}
	}
}
