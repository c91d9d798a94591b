package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
)

// running is a store whose records, list and stories lie in tables, and whose next ones lie in logs.
func running(t *testing.T) (*Store, []uint64) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "us-ftc", Settings{})
	numbers := registryNumbers(20_000)
	load(t, s, "us-ftc", Replace, numbers, Commit{})
	recordStories(t, s, 100)
	closeStore(t, s)
	o := testOptions()
	o.BlockCache = -1
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	optOut(t, s, fiction(415, 0), "acme")
	s.watch.look() // the files are known
	return s, numbers
}

// Files that are deleted, replaced or cut under a running store are noticed within seconds: no more writes, and a stop
// ends.
func TestFilesThatVanishAreNoticed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	remove := func(pattern string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) { must(t, os.RemoveAll(largest(t, filepath.Join(dir, pattern)))) }
	}
	tests := []struct {
		name  string
		harm  func(t *testing.T, dir string)
		state error
	}{
		{"directory deleted", remove(""), ErrDamaged},
		{"database deleted", remove(badgerDir), ErrDamaged},
		{"MANIFEST deleted", remove(badgerDir + "/MANIFEST"), ErrDamaged},
		{"MANIFEST cut", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, badgerDir, "MANIFEST"), 9)) }, ErrDamaged},
		{"table deleted", remove(badgerDir + "/*.sst"), ErrDamaged},
		{"log deleted", remove(badgerDir + "/*.mem"), ErrDamaged},
		{"log replaced", func(t *testing.T, dir string) {
			logs, err := filepath.Glob(filepath.Join(dir, badgerDir, "*.mem"))
			must(t, err)
			log := logs[len(logs)-1]
			must(t, errors.Join(disk.CopyFile(log, log+".copy"), os.Rename(log+".copy", log)))
		}, ErrDamaged},
		{"blocks deleted", remove(blocksDir), ErrDamaged},
		{"blocks cut", func(t *testing.T, dir string) {
			must(t, os.Truncate(largest(t, filepath.Join(dir, blocksDir, "*")), 9))
		}, ErrDamaged},
		{"mark deleted", remove(journal.MarkName), ErrDamaged},
		{"lock replaced", func(t *testing.T, dir string) {
			must(t, errors.Join(os.Remove(filepath.Join(dir, lockFile)), os.WriteFile(filepath.Join(dir, lockFile), nil, 0o600)))
		}, ErrDamaged},
		{"stories deleted", remove(storiesDir), ErrStoriesDamaged},
		{"table of stories deleted", remove(storiesDir + "/*.sst"), ErrStoriesDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, numbers := running(t)
			tt.harm(t, s.dir)
			awaitState(t, s, func(state State) bool { return errors.Is(state.Cause, tt.state) })
			if _, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 1), Scope: "acme"}, Request{}); !errors.Is(err, tt.state) {
				t.Errorf("a write: %v, want %v", err, tt.state)
			}
			if ready := s.State().Ready(); ready != errors.Is(tt.state, ErrStoriesDamaged) {
				t.Errorf("ready %v in state %v", ready, s.State().Cause)
			}
			wantNoneAllowed(t, s, numbers)
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				_ = s.Close() // it may tell of the damage: that it ends is what counts
			}()
			select {
			case <-closed:
			case <-time.After(30 * time.Second):
				t.Error("the store does not close")
			}
		})
	}
}

// A number with records that do not block is doubt where a table is gone, which may have held one that does: also before the watch
// comes to it, looked up alone or with others.
func TestLookupAsksWhetherTablesAreWhole(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(v *View, n phone.Number) policy.Facts{
		"alone": func(v *View, n phone.Number) policy.Facts {
			f := policy.Facts{Scope: "other"}
			v.Lookup(n, &f)
			return f
		},
		"with others": func(v *View, n phone.Number) policy.Facts {
			var f Findings
			v.LookupMany([]phone.Number{fiction(415, 7), n}, Call{Scope: "other"}, &f)
			return f.Facts[f.At[1]]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := running(t)
			if f := look(s.View(), fiction(415, 0)); f.Damaged || len(f.Records) != 1 {
				t.Fatalf("before: damaged %v, %d records", f.Damaged, len(f.Records))
			}
			must(t, os.Remove(largest(t, filepath.Join(s.dir, badgerDir, "*.sst"))))
			if f := look(s.View(), fiction(415, 0)); !f.Damaged {
				t.Error("a table is gone, and nothing is in doubt")
			}
			_ = s.Close()
		})
	}
}

// A write whose mark lies in a file without a name is not acknowledged.
func TestDeletedDirectoryAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	s, _ := running(t)
	must(t, os.RemoveAll(s.dir))
	if r, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 1), Scope: "acme"}, Request{}); err == nil {
		t.Errorf("acknowledged at revision %d, which no start will find", r.ID.Revision)
	}
	_ = s.Close()
}

// A table that somebody writes into while it is open is damage, found within seconds: no read of it answers ALLOW.
func TestTableThatIsWrittenIntoIsDamage(t *testing.T) {
	if share := os.Getenv(harmEnv); share != "" {
		writeInto(t, share)
		return
	}
	t.Parallel()
	whole := 0
	for range 2 {
		for _, share := range []string{"end of the index", "second half", "all but a quarter"} {
			if apart(t, share) {
				whole++
			}
		}
	}
	if whole == 0 {
		t.Error("no process of 6 came to its end")
	}
}

func writeInto(t *testing.T, share string) {
	s, numbers := running(t)
	path := largest(t, filepath.Join(s.dir, badgerDir, "*.sst"))
	bytes := size(t, path)
	from := map[string]int64{"end of the index": bytes - 64, "second half": bytes / 2, "all but a quarter": bytes / 4}[share]
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	junk := make([]byte, bytes-from)
	for i := range junk {
		junk[i] = byte(i*7 + 0xa5)
	}
	_, err = f.WriteAt(junk, from)
	must(t, errors.Join(err, f.Close()))
	for i := 0; i < len(numbers); i += 97 {
		verdict(s.View(), phone.Number(numbers[i]), "acme", s.Now())
	}
	_, err = s.RecordOptOut(context.Background(), OptOut{Number: 33_199_000_001, Scope: "acme"}, Request{})
	awaitState(t, s, func(state State) bool { return errors.Is(state.Cause, ErrDamaged) })
	t.Log(s.State().Cause, err)
	wantNoneAllowed(t, s, numbers)
	_ = s.Close()
}

// Tables are listed without a read of them: the database reads them under a lock, and whoever met damage there kept it. A
// compaction, and with it the stop, then waited for ever.
func TestTablesAreListedUnread(t *testing.T) {
	if os.Getenv(harmEnv) == "" {
		t.Parallel()
		if !apart(t, "empty") {
			t.Error("the process did not come to its end")
		}
		return
	}
	s, _ := running(t)
	must(t, os.Truncate(largest(t, filepath.Join(s.dir, badgerDir, "*.sst")), 0))
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if err := s.watch.intact(); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

// Whatever a damaged store does not find may be lost: no reading tells it as absent.
func TestDamagedStoreTellsNothingAsAbsent(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	must(t, os.Remove(filepath.Join(d.dir, journal.MarkName)))
	s := open(t, d.dir)
	v := s.View()
	ctx := context.Background()
	_, _, history := v.History(fiction(415, 0), policy.EventID{}, 10)
	_, imports := v.Imports(policy.EventID{}, 0, 10)
	_, list := v.List("no-such-list")
	_, number := v.Number(fiction(415, 0), s.Now())
	var records, exported error
	for _, err := range v.Records(ctx, s.Now(), true, func(*RecordDetail) bool { return true }) {
		records = err
	}
	for _, err := range v.Export(ctx, listOf(t, s, "us-ftc")) {
		exported = err
	}
	for what, err := range map[string]error{
		"history": history, "imports": imports, "list": list, "number": number, "records": records, "export": exported,
	} {
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
	}
}

// Damage that is met while a list is exported ends the export with an error, not with a sum that matches half of it.
func TestExportEndsWithTheDamageItMet(t *testing.T) {
	t.Parallel()
	s, _ := running(t)
	v := s.View()
	var last error
	batches := 0
	for _, err := range v.Export(context.Background(), listOf(t, s, "us-ftc")) {
		if batches++; batches == 1 {
			s.noteDamage(errors.New("met by another reader"))
		}
		last = err
	}
	if batches < 2 || !errors.Is(last, ErrDamaged) {
		t.Errorf("after %d batches: %v, want ErrDamaged at the end", batches, last)
	}
	closeStore(t, s)
}

// A write that is not awaited because files are gone never counts as done, whatever the state says.
func TestWriteThatIsNotAwaitedIsNotDone(t *testing.T) {
	t.Parallel()
	s := new(Store)
	s.health.init()
	s.watch = newWatch(s)
	close(s.watch.gone)
	if err := s.unlessGone(make(chan error)); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}
