package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
)

// TestFullDiskStopsWritesNotChecks fills a small disk with a store's own writes, and then, as another process would, to
// the last byte. The store lives on and answers, comes back on the full disk after a close and after a kill, and takes
// writes again when there is room. Each part runs in a child: a write to a mapped file on a full disk is a SIGBUS.
func TestFullDiskStopsWritesNotChecks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	if dir := os.Getenv(childDir); dir != "" {
		f := &fullDisk{t: t, dir: dir}
		switch campaign(t, childRound, 0) {
		case fillAndClose:
			closeStore(t, f.fill())
		case fillAndDie:
			f.fill()
			t.Error(syscall.Kill(os.Getpid(), syscall.SIGKILL))
		case comeBack:
			f.comeBack()
		}
		return
	}
	needsMounts(t)
	for name, part := range map[string]int{"closed": fillAndClose, "killed": fillAndDie} {
		t.Run(name, func(t *testing.T) {
			f := &fullDisk{t: t, dir: t.TempDir()}
			f.mount()
			f.run(part)
			f.run(comeBack)
		})
	}
}

// The parts of the test that a child plays.
const (
	fillAndClose = iota + 1
	fillAndDie
	comeBack
)

// fullDisk is a small disk in dir, with a store and what else fills it.
type fullDisk struct {
	t   *testing.T
	dir string
}

func (f *fullDisk) disk() string { return filepath.Join(f.dir, "disk") }
func (f *fullDisk) data() string { return filepath.Join(f.disk(), "data") }
func (f *fullDisk) junk() string { return filepath.Join(f.disk(), "junk") }
func (f *fullDisk) acks() string { return filepath.Join(f.dir, "acknowledged") }

func (f *fullDisk) mount() {
	if err := os.Mkdir(f.disk(), 0o700); err != nil {
		f.t.Fatal(err)
	}
	if err := mount(f.t, f.disk(), "-t", "tmpfs", "-o", "size=256m", "tmpfs"); err != nil {
		f.t.Skip("needs to mount file systems:", err)
	}
}

func (f *fullDisk) run(part int) {
	f.t.Helper()
	out, err := childCommand(f.t, childDir+"="+f.dir, fmt.Sprintf("%s=%d", childRound, part)).CombinedOutput()
	if died := part == fillAndDie && strings.HasSuffix(fmt.Sprint(err), "signal: killed"); err != nil && !died {
		f.t.Fatalf("part %d: %v\n%s", part, err, out)
	}
}

func (f *fullDisk) options() Options { return Options{MinFree: 48 << 20, Ballast: 40 << 20} }

// listed is what the list holds in the end; its load is interrupted by the full disk.
func (f *fullDisk) listed() []uint64 { return childContent(2) }

// fill fills the disk twice, with room made in between, and leaves it full to the last byte with a load under way.
func (f *fullDisk) fill() *Store {
	s, err := Open(f.data(), f.options())
	if err != nil {
		f.t.Fatal(err)
	}
	createList(f.t, s, childList(0), Settings{Kind: policy.ListSuppression})
	load(f.t, s, childList(0), Replace, childContent(1), Commit{})
	f.fillTo(180 << 20)
	f.optOutUntilRefused(s)
	f.wantFull(s)
	f.compacted(s)
	f.fillTo(0)
	f.wantFull(s)
	f.wantRefused(s)
	f.makeRoom(s)
	f.loadIntoFullDisk(s)
	f.compacted(s)
	f.fillTo(0)
	f.wantFull(s)
	return s
}

// compacted waits until Badger neither writes a table nor has a reason to. It writes them through mapped files: another
// process that takes the last bytes of the disk meanwhile still kills this one, and nothing here can stop that
// (docs/operations.md). The levels' scores leave out the tables that a running compaction reads, so that the stacks are
// looked at too.
func (f *fullDisk) compacted(s *Store) {
	f.t.Helper()
	quiet := 0
	f.await(s, "end of the compactions", func() bool {
		quiet++
		if writesTables(f.t) {
			quiet = 0
		}
		for _, l := range append(s.db.Levels(), s.stories.Badger.Levels()...) {
			if l.Score >= 1 || l.Adjusted >= 1 {
				quiet = 0
			}
		}
		return quiet > 40 // 200 ms
	})
}

// writesTables reports whether a goroutine of Badger writes a table now.
func writesTables(t *testing.T) bool {
	t.Helper()
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(stacks.String(), ".(*levelsController).doCompact") ||
		strings.Contains(stacks.String(), ".(*DB).handleMemTableFlush")
}

func (f *fullDisk) makeRoom(s *Store) {
	f.t.Helper()
	if err := os.Remove(f.junk()); err != nil {
		f.t.Fatal(err)
	}
	f.await(s, "room", func() bool { return s.State().Writable() })
}

// loadIntoFullDisk begins a load and lets the disk fill up once it is prepared.
func (f *fullDisk) loadIntoFullDisk(s *Store) {
	full := make(chan struct{})
	fillOnce := sync.OnceFunc(func() {
		f.fillTo(4 << 20)
		time.Sleep(2 * spaceCheckEvery) // the store looks at the disk so often
		close(full)
	})
	i, err := s.BeginImport(Header{List: childList(0), Mode: Replace, Guards: Guards{MaxShrink: -1, MaxRejects: -1}})
	if err != nil {
		f.t.Fatal(err)
	}
	numbers := f.listed()
	if err := i.Put(Chunk{Seq: 1, Numbers: slices.Clone(numbers)}); err != nil {
		f.t.Fatal(err)
	}
	progress := func(Progress) {
		if s.View().Lists()[0].Pending != 0 {
			fillOnce()
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: uint64(len(numbers))}, progress)
		ended <- err
	}()
	select {
	case <-full:
	case err := <-ended:
		f.t.Fatalf("the load on a full disk ended before it filled up: %v", err)
	}
	if l := s.View().Lists()[0]; l.Pending == 0 || l.ContentRevision >= l.Pending {
		f.t.Errorf("a load went on on a full disk: prepared %d, visible %d", l.Pending, l.ContentRevision)
	}
}

// fillTo takes room on the disk until so many bytes are left.
func (f *fullDisk) fillTo(left int64) {
	f.t.Helper()
	junk, err := os.OpenFile(f.junk(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer junk.Close()
	for piece := make([]byte, 64<<10); ; {
		free, err := disk.AvailableBytes(f.disk())
		if err != nil {
			f.t.Fatal(err)
		}
		if free <= left {
			return
		}
		if _, err := junk.Write(piece); err != nil && !errors.Is(err, syscall.ENOSPC) {
			f.t.Fatal(err)
		}
	}
}

// optOutUntilRefused opts numbers out, with long stories, until the disk is too full, and keeps what was acknowledged.
func (f *fullDisk) optOutUntilRefused(s *Store) {
	acks, err := os.OpenFile(f.acks(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer acks.Close()
	var writers sync.WaitGroup
	for w := range childWriters {
		writers.Go(func() {
			for n := range childNumbers {
				number := childNumber(w, n)
				_, err := s.RecordOptOut(context.Background(), OptOut{Number: number, Scope: "acme"}, Request{
					Story: Story{Note: strings.Repeat("long ", 8<<10)},
				})
				if errors.Is(err, ErrDiskFull) {
					return
				}
				if err != nil {
					f.t.Error(err)
					return
				}
				fmt.Fprintln(acks, uint64(number))
			}
			f.t.Error("the disk never became full")
		})
	}
	writers.Wait()
}

func (f *fullDisk) acknowledged() (numbers []phone.Number) {
	f.t.Helper()
	b, err := os.ReadFile(f.acks())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, line := range strings.Fields(string(b)) {
		var n uint64
		if _, err := fmt.Sscan(line, &n); err != nil {
			f.t.Fatal(err)
		}
		numbers = append(numbers, phone.Number(n))
	}
	if len(numbers) == 0 {
		f.t.Error("nothing was acknowledged before the disk was full")
	}
	return numbers
}

// wantFull checks that the store takes no writes and is ready, and answers as it should.
func (f *fullDisk) wantFull(s *Store) {
	f.t.Helper()
	f.await(s, "a full disk", func() bool { return errors.Is(s.State().Cause, ErrDiskFull) })
	if !s.State().Ready() || s.State().Writable() {
		f.t.Errorf("state on a full disk: ready %t, writable %t", s.State().Ready(), s.State().Writable())
	}
	f.wantAnswers(s)
}

func (f *fullDisk) wantAnswers(s *Store) {
	f.t.Helper()
	for _, n := range f.acknowledged() {
		wantVerdict(f.t, s, n, "acme", policy.Block, policy.CauseNone)
	}
	held := export(f.t, s, childList(0))
	if !slices.Equal(held, childContent(1)) && !slices.Equal(held, f.listed()) {
		f.t.Errorf("the list holds %d numbers, neither the load before nor the one after", len(held))
	}
	for _, n := range held {
		wantVerdict(f.t, s, phone.Number(n), "acme", policy.Block, policy.CauseNone)
	}
	wantVerdict(f.t, s, fiction(499, 0), "acme", policy.Allow, policy.CauseNone)
}

func (f *fullDisk) wantRefused(s *Store) {
	f.t.Helper()
	if _, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(499, 0)}, Request{}); !errors.Is(err, ErrDiskFull) {
		f.t.Errorf("opt-out on a full disk: %v, want ErrDiskFull", err)
	}
	if _, err := s.BeginImport(Header{List: childList(0), Mode: Replace}); !errors.Is(err, ErrDiskFull) {
		f.t.Errorf("import on a full disk: %v, want ErrDiskFull", err)
	}
}

func (f *fullDisk) await(s *Store, what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("still no %s: %v", what, s.State().Cause)
		}
	}
}

// openFull opens the store on the full disk. Without the ballast, which closing may have taken, it is refused until there
// is a little room.
func (f *fullDisk) openFull() *Store {
	f.t.Helper()
	if _, err := os.Stat(filepath.Join(f.data(), ballastFile)); err == nil {
		return openWith(f.t, f.data(), f.options())
	}
	if _, err := Open(f.data(), f.options()); !errors.Is(err, ErrDiskFull) {
		f.t.Fatalf("open on a full disk without ballast: %v, want ErrDiskFull", err)
	}
	info, err := os.Stat(f.junk())
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.Truncate(f.junk(), info.Size()-2*flushSpare); err != nil {
		f.t.Fatal(err)
	}
	return openWith(f.t, f.data(), f.options())
}

// comeBack opens the store on the full disk, then makes room.
func (f *fullDisk) comeBack() {
	f.fillTo(0)
	s := f.openFull()
	f.wantFull(s)
	f.wantRefused(s)
	f.makeRoom(s)
	n := fiction(498, 0)
	optOut(f.t, s, n, "acme")
	settle(f.t, s)
	wantVerdict(f.t, s, n, "acme", policy.Block, policy.CauseNone)
	f.wantAnswers(s)
	if got := export(f.t, s, childList(0)); !slices.Equal(got, f.listed()) {
		f.t.Errorf("the load that waited for room left %d numbers, want its %d", len(got), len(f.listed()))
	}
}
