package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/fault"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testClock is a clock that a test sets.
type testClock struct {
	mu    sync.Mutex
	now   time.Time
	ahead time.Duration
}

func newClock() *testClock { return &testClock{now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)} }

func (c *testClock) read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.ahead
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openLog(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l := Open(dir, o)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

// entry is one whose name is that of its place.
func entry(i int) Entry {
	return Entry{Name: fmt.Sprint(i), Kind: access.Token, Method: "RecordService/GetNumber"}
}

func appendTo(t testing.TB, l *Log, i int, number uint64) {
	t.Helper()
	if err := l.Append(context.Background(), entry(i), number); err != nil {
		t.Fatal("append:", err)
	}
}

// readAll reads the log page by page, and returns the names of the entries.
func readAll(t testing.TB, l *Log, q Query, most int64) (names []string, unreadable int64) {
	t.Helper()
	for range 10_000 {
		p, err := l.read(q, most)
		if err != nil || len(p.Entries) > q.Limit {
			t.Fatalf("got %d entries of at most %d, %v", len(p.Entries), q.Limit, err)
		}
		for _, e := range p.Entries {
			names = append(names, e.Name)
		}
		unreadable += p.Unreadable
		if p.Next == (Cursor{}) {
			return names, unreadable
		}
		q.At = p.Next
	}
	t.Fatal("the pages have no end")
	return nil, 0
}

func wantNames(t testing.TB, l *Log, q Query, want ...string) {
	t.Helper()
	q.Limit = 100
	if got, bad := readAll(t, l, q, maxPageBytes); !slices.Equal(got, want) || bad != 0 {
		t.Errorf("got %v and %d bytes unreadable, want %v", got, bad, want)
	}
}

func TestEntryIsReadAsItWasAppended(t *testing.T) {
	t.Parallel()
	dir, clock := filepath.Join(t.TempDir(), "access"), newClock()
	l := Open(dir, Options{Clock: clock.read})
	if since, err := l.KeptSince(); err != nil || !since.IsZero() {
		t.Errorf("kept since %v, %v; want nothing", since, err)
	}
	wantNames(t, l, Query{})
	want := []Entry{
		{Name: "desk", Kind: access.Certificate, Method: "RecordService/GetNumber"},
		{Method: "RecordService/ExportRecords", Scope: "acme/telecom"},
		{Name: "officer", Kind: access.Token, Method: "ListService/Export", List: "us-ftc"},
	}
	for i, number := range []uint64{14155550100, 0, 0} {
		must(t, l.Append(context.Background(), want[i], number))
		want[i].Time, _ = clock.read()
		clock.advance(time.Second)
	}
	want[0].Hash = l.key.hash(14155550100)
	must(t, l.Close())
	l = openLog(t, dir, Options{Clock: clock.read})
	p, err := l.Read(Query{Limit: 10})
	must(t, err)
	if diff := cmp.Diff(Page{Entries: want}, p); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	if since, err := l.KeptSince(); err != nil || !since.Equal(want[0].Time) {
		t.Errorf("kept since %v, %v; want %v", since, err, want[0].Time)
	}
	for _, name := range []string{"key", "2026-11-29.log"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v; want mode 0600", name, info, err)
		}
	}
}

// A number is found through its hash alone, with the reads that may have held it, and lies nowhere in the log.
func TestNumberIsFoundByItsHash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, dir, Options{Clock: newClock().read})
	for i, number := range []uint64{14155550100, 14155550101, 0, 14155550100} {
		appendTo(t, l, i, number)
	}
	wantNames(t, l, Query{Number: 14155550100}, "0", "2", "3")
	wantNames(t, l, Query{Number: 14155550101}, "1", "2")
	wantNames(t, l, Query{Number: 14155550102}, "2")
	b, err := os.ReadFile(filepath.Join(dir, "2026-11-29.log"))
	must(t, err)
	if bytes.Contains(b, []byte("4155550100")) {
		t.Error("the number lies in the log")
	}
	other := openLog(t, t.TempDir(), Options{})
	appendTo(t, other, 0, 14155550100)
	if other.key.hash(14155550100) == l.key.hash(14155550100) {
		t.Error("two logs have the same key")
	}
}

// Entries are in the file of their own day, whatever the clock does, and are found by their time.
func TestEntriesOfDays(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	l := openLog(t, dir, Options{Clock: clock.read})
	var times []time.Time
	for i, step := range []time.Duration{0, time.Hour, 24 * time.Hour, -24 * time.Hour, -time.Hour, 72 * time.Hour} {
		clock.advance(step)
		now, _ := clock.read()
		times = append(times, now)
		appendTo(t, l, i, 0)
	}
	wantNames(t, l, Query{}, "0", "1", "3", "4", "2", "5")
	wantNames(t, l, Query{From: times[1]}, "1", "3", "2", "5")
	wantNames(t, l, Query{To: times[1]}, "0", "4")
	wantNames(t, l, Query{From: times[2], To: times[5]}, "2")
	wantNames(t, l, Query{From: times[5].Add(1)})
	for limit := 1; limit < 8; limit++ {
		for _, most := range []int64{1, 60, maxPageBytes} {
			if got, _ := readAll(t, l, Query{Limit: limit}, most); !slices.Equal(got, []string{"0", "1", "3", "4", "2", "5"}) {
				t.Errorf("pages of %d entries and %d bytes: got %v", limit, most, got)
			}
		}
	}
}

// Days are deleted when all of a day is older than the retention, and no sooner where the clock is in doubt.
func TestRetentionSweepsWholeDays(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	l := openLog(t, dir, Options{Clock: clock.read, Retention: 48 * time.Hour})
	for i := range 5 {
		appendTo(t, l, i, 0)
		clock.advance(24 * time.Hour)
	}
	must(t, os.WriteFile(filepath.Join(dir, "2020-01-01.log.old"), nil, 0o600))
	clock.ahead = 240 * time.Hour
	must(t, l.Sweep())
	wantNames(t, l, Query{}, "0", "1", "2", "3", "4")
	clock.ahead = 0
	must(t, l.Sweep()) // it is noon of the fifth day after the first
	wantNames(t, l, Query{}, "3", "4")
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 4 {
		t.Errorf("%d files are left, %v; want two days, the key and the file of somebody else", len(left), err)
	}
	forever := openLog(t, dir, Options{Clock: clock.read})
	clock.advance(1000 * 24 * time.Hour)
	must(t, forever.Sweep())
	wantNames(t, forever, Query{}, "3", "4")
}

func TestSweepOfADayThatIsOpen(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := openLog(t, t.TempDir(), Options{Clock: clock.read, Retention: time.Hour})
	appendTo(t, l, 0, 0)
	clock.advance(72 * time.Hour)
	must(t, l.Sweep())
	wantNames(t, l, Query{})
	appendTo(t, l, 1, 0)
	wantNames(t, l, Query{}, "1")
}

var errInjected = errors.New("injected")

// TestFailedEntryIsNotAcknowledged fails each step in each way. The entry is not acknowledged, and what is acknowledged before
// and after it is read, once: at once, and when the log is opened again.
func TestFailedEntryIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	ways := map[string]func(l *Log, write func() error) error{
		"not done": func(*Log, func() error) error { return errInjected },
		"done":     func(_ *Log, write func() error) error { return errors.Join(write(), errInjected) },
		"half done": func(l *Log, write func() error) error {
			err := write()
			if l.file != nil {
				info, statErr := l.file.Stat()
				err = errors.Join(err, statErr, l.file.Truncate(info.Size()-10))
			}
			return errors.Join(err, errInjected)
		},
	}
	for _, at := range []step{stepPrepare, stepOpen, stepWrite, stepSync} {
		for name, way := range ways {
			t.Run(fmt.Sprintf("%s, %s", at, name), func(t *testing.T) {
				t.Parallel()
				dir, failing := t.TempDir(), new(atomic.Bool)
				clock := newClock()
				var l *Log
				o := Options{Clock: clock.read, faults: func(s step, write func() error) error {
					if s != at || !failing.Load() {
						return write()
					}
					return way(l, write)
				}}
				l = openLog(t, dir, o)
				var want []string
				if at == stepWrite || at == stepSync {
					appendTo(t, l, 0, 0)
					want = append(want, "0")
				}
				failing.Store(true)
				for range 2 {
					if err := l.Append(context.Background(), entry(1), 0); !errors.Is(err, ErrFailed) || !errors.Is(err, errInjected) {
						t.Fatalf("got %v, want ErrFailed", err)
					}
					wantNames(t, l, Query{}, want...)
				}
				failing.Store(false)
				appendTo(t, l, 2, 0)
				want = append(want, "2")
				wantNames(t, l, Query{}, want...)
				must(t, l.Close())
				again := openLog(t, dir, Options{Clock: clock.read})
				appendTo(t, again, 3, 0)
				wantNames(t, again, Query{}, append(want, "3")...)
			})
		}
	}
}

// A log whose acknowledged part cannot be told from what failed takes no entries until that is cut off.
func TestFailedCutIsTriedAgain(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	l := openLog(t, t.TempDir(), Options{Clock: newClock().read, faults: func(s step, write func() error) error {
		if err := write(); err != nil || !failing.Load() || s != stepSync && s != stepCut {
			return err
		}
		return errInjected
	}})
	appendTo(t, l, 0, 0)
	failing.Store(true)
	for range 3 {
		if err := l.Append(context.Background(), entry(1), 0); !errors.Is(err, errInjected) {
			t.Fatalf("got %v, want the injected error", err)
		}
	}
	failing.Store(false)
	appendTo(t, l, 2, 0)
	wantNames(t, l, Query{}, "0", "2")
}

func TestNoRoomIsAFailure(t *testing.T) {
	t.Parallel()
	full := true
	l := openLog(t, t.TempDir(), Options{Room: func(int64) error {
		if full {
			return fault.ErrDiskFull
		}
		return nil
	}})
	if err := l.Append(context.Background(), entry(0), 0); !errors.Is(err, ErrFailed) || !errors.Is(err, fault.ErrDiskFull) {
		t.Errorf("got %v, want ErrFailed for want of room", err)
	}
	full = false
	appendTo(t, l, 1, 0)
	wantNames(t, l, Query{}, "1")
}

func TestReadOnlyDirectoryIsAFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "access"), nil, 0o600)) // no directory can be made there, also by root
	l := openLog(t, filepath.Join(dir, "access"), Options{})
	if err := l.Append(context.Background(), entry(0), 0); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v, want ErrFailed", err)
	}
	must(t, os.Remove(filepath.Join(dir, "access")))
	appendTo(t, l, 1, 0)
	wantNames(t, l, Query{}, "1")
}

// Without its key, numbers of older entries could not be found: nothing is written under another one.
func TestLostKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(path string) error{
		"deleted": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 7) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := Open(dir, Options{})
			appendTo(t, l, 0, 1)
			must(t, l.Close())
			must(t, lose(filepath.Join(dir, keyFile)))
			l = openLog(t, dir, Options{})
			if err := l.Append(context.Background(), entry(1), 1); !errors.Is(err, ErrFailed) {
				t.Errorf("append: got %v, want ErrFailed", err)
			}
			if _, err := l.Read(Query{Number: 1, Limit: 1}); err == nil {
				t.Error("a number was looked for without a key")
			}
			wantNames(t, l, Query{}, "0")
		})
	}
}

// damagedLog is a file with ten entries, and where each begins.
func damagedLog(t *testing.T, dir string) (path string, starts []int64) {
	t.Helper()
	l := Open(dir, Options{Clock: newClock().read})
	for i := range 10 {
		starts = append(starts, l.tailOf(policy.DateOf(newClock().now)))
		appendTo(t, l, i, 0)
	}
	must(t, l.Close())
	return filepath.Join(dir, "2026-11-29.log"), starts
}

// Each byte that is damaged costs the entry that it is in, which is counted, and no other.
func TestDamagedEntryIsCountedAndHidesNoOther(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, starts := damagedLog(t, dir)
	whole, err := os.ReadFile(path)
	must(t, err)
	for at := int64(0); at < starts[9]; at += 3 {
		b := slices.Clone(whole)
		b[at] ^= 0x41
		must(t, os.WriteFile(path, b, 0o600))
		hit := 9
		for starts[hit] > at {
			hit--
		}
		var want []string
		for i := range 10 {
			if i != hit {
				want = append(want, fmt.Sprint(i))
			}
		}
		var logged bytes.Buffer
		l := Open(dir, Options{Clock: newClock().read, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		got, bad := readAll(t, l, Query{Limit: 3}, maxPageBytes)
		if !slices.Equal(got, want) || bad != starts[hit+1]-starts[hit] {
			t.Errorf("byte %d: got %v and %d bytes unreadable, want all but %d", at, got, bad, hit)
		}
		if n := strings.Count(logged.String(), "level=ERROR"); n != 1 {
			t.Errorf("byte %d: %d errors were logged, want 1", at, n)
		}
		appendTo(t, l, 10, 0)
		if got, _ := readAll(t, l, Query{Limit: 30}, maxPageBytes); !slices.Equal(got, append(want, "10")) {
			t.Errorf("byte %d, one entry more: got %v", at, got)
		}
		must(t, l.Close())
	}
}

// The last entry was acknowledged when all of it is there: damage to it is counted, and nothing is cut off.
func TestDamagedLastEntryIsNotCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, starts := damagedLog(t, dir)
	b, err := os.ReadFile(path)
	must(t, err)
	b[starts[9]+headBytes+3] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	l := openLog(t, dir, Options{Clock: newClock().read})
	appendTo(t, l, 10, 0)
	got, bad := readAll(t, l, Query{Limit: 100}, maxPageBytes)
	if want := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "10"}; !slices.Equal(got, want) || bad != int64(len(b))-starts[9] {
		t.Errorf("got %v and %d bytes unreadable, want all but the damaged one, of %d bytes", got, bad, int64(len(b))-starts[9])
	}
}

// A long entry that failed leaves nothing behind a shorter one that was written after it.
func TestFailedEntryLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir, failing := t.TempDir(), new(atomic.Bool)
	o := Options{Clock: newClock().read, faults: func(s step, write func() error) error {
		if err := write(); err != nil || s != stepSync || !failing.Load() {
			return err
		}
		return errInjected
	}}
	l := openLog(t, dir, o)
	failing.Store(true)
	e := entry(1)
	e.Scope = policy.Scope(strings.Repeat("a", 4000))
	if err := l.Append(context.Background(), e, 0); !errors.Is(err, errInjected) {
		t.Fatalf("got %v, want the injected error", err)
	}
	failing.Store(false)
	appendTo(t, l, 2, 0)
	must(t, l.Close())
	wantNames(t, openLog(t, dir, Options{}), Query{}, "2")
}

// What a crash leaves behind the last whole entry was never acknowledged: it is cut off, and is no damage.
func TestTornTailIsCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, starts := damagedLog(t, dir)
	whole, err := os.ReadFile(path)
	must(t, err)
	for end := starts[8]; end <= int64(len(whole)); end++ {
		for _, zeros := range []int{0, 1, 5000} {
			must(t, os.WriteFile(path, append(slices.Clone(whole[:end]), make([]byte, zeros)...), 0o600))
			var want []string
			for i := range 10 {
				if i < 9 && starts[i+1] <= end || i == 9 && end == int64(len(whole)) {
					want = append(want, fmt.Sprint(i))
				}
			}
			if zeros > 0 && !slices.Contains(append(starts, int64(len(whole))), end) {
				continue // a part of an entry and room that was not written: counted
			}
			l := Open(dir, Options{Clock: newClock().read})
			wantNames(t, l, Query{}, want...)
			appendTo(t, l, 10, 0)
			wantNames(t, l, Query{}, append(want, "10")...)
			must(t, l.Close())
		}
	}
}

// An open file that is deleted, or cut, is noticed by the next entry, which is refused; the one after it is written.
func TestFileThatIsTakenAwayIsNoticed(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(path string) error{
		"deleted": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			l := openLog(t, dir, Options{Clock: newClock().read})
			appendTo(t, l, 0, 0)
			must(t, take(filepath.Join(dir, "2026-11-29.log")))
			if err := l.Append(context.Background(), entry(1), 0); !errors.Is(err, ErrFailed) {
				t.Errorf("got %v, want ErrFailed", err)
			}
			appendTo(t, l, 2, 0)
			wantNames(t, l, Query{}, "2")
		})
	}
}

func TestClosedLog(t *testing.T) {
	t.Parallel()
	l := Open(t.TempDir(), Options{})
	appendTo(t, l, 0, 0)
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Append(context.Background(), entry(1), 0); !errors.Is(err, fault.ErrClosed) {
		t.Errorf("append: got %v, want ErrClosed", err)
	}
	wantNames(t, l, Query{}, "0")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l = openLog(t, t.TempDir(), Options{})
	if err := l.Append(ctx, entry(1), 0); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone: got %v", err)
	}
}

func TestLongEntryIsRefused(t *testing.T) {
	t.Parallel()
	l := openLog(t, t.TempDir(), Options{})
	e := entry(0)
	e.Scope = policy.Scope(strings.Repeat("a", maxEntryBytes))
	if err := l.Append(context.Background(), e, 0); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v, want ErrFailed", err)
	}
	appendTo(t, l, 1, 0)
	wantNames(t, l, Query{}, "1")
}

// Many append and many read at the same time: each reader sees a prefix of what is acknowledged, without damage.
func TestReadersWhileEntriesAreAppended(t *testing.T) {
	t.Parallel()
	l := openLog(t, t.TempDir(), Options{Clock: newClock().read})
	const writers, each = 8, 50
	var acknowledged atomic.Int64
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				if err := l.Append(context.Background(), entry(w*each+i), 0); err != nil {
					t.Error("append:", err)
				}
				acknowledged.Add(1)
			}
		})
	}
	for range 4 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := acknowledged.Load()
				if got, bad := readAll(t, l, Query{Limit: 100}, maxPageBytes); int64(len(got)) < least || bad != 0 {
					t.Errorf("got %d entries and %d bytes unreadable, %d were acknowledged before", len(got), bad, least)
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	got, _ := readAll(t, l, Query{Limit: 1000}, maxPageBytes)
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != writers*each {
		t.Errorf("got %d entries, want %d", len(got), writers*each)
	}
}
