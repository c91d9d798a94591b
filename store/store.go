// Package store keeps every opt-out and every list of an organisation, and answers what it knows about a number.
//
// Every change is an event of the journal; a revision is one atomic commit of one or more events, and Badger's
// timestamp. It promises:
//   - A write that was acknowledged is on disk: committed, synced, and its revision marked beside the database.
//   - A reader sees one complete revision, from one immutable View; a list switches from one load to the next atomically.
//   - A filter says no only where the store says no: bits are set before the commit.
//   - What cannot be read comes out as doubt (policy.Facts.Damaged), never as absence.
//   - Apply is deterministic: the same events give the same state.
//   - No error and no log line holds a number.
//
// Start reading at Open, View.Lookup and Store.commitLoop. docs/ARCHITECTURE.md is the map, with a glossary and each file
// of the data directory.
package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/store/internal/accesslog"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/clock"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/locks"
	"github.com/dncd/dncd/store/internal/secret"
	"github.com/dncd/dncd/store/internal/stories"
)

// Options of a store. The zero value is good.
type Options struct {
	Clock      func() time.Time     // nil: time.Now
	Boottime   func() time.Duration // since the machine started; nil: the system's, or none with a Clock
	Logger     *slog.Logger         // nil: silent
	FilterFPR  float64              // false-positive rate of the filters; 0: 0.001
	BlockCache int64                // bytes of decoded blocks kept in memory; 0: 64 MiB, negative: none
	MinFree    int64                // writes stop below so many free bytes; 0: 2 GiB, negative: no guard
	Ballast    int64                // bytes kept to be able to open on a full disk; 0: 128 MiB, negative: none
	StageTTL   time.Duration        // an import that was not continued is dropped after it; 0: 24 h

	AccessRetention time.Duration // how long the access log is kept, by whole days; 0: 400 days, negative: for ever

	faults faults // of tests
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.FilterFPR == 0 {
		o.FilterFPR = 0.001
	}
	if o.BlockCache == 0 {
		o.BlockCache = defaultBlockCache
	}
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.Ballast == 0 {
		o.Ballast = defaultBallast
	}
	if o.StageTTL == 0 {
		o.StageTTL = 24 * time.Hour
	}
	if o.AccessRetention == 0 {
		o.AccessRetention = DefaultAccessRetention
	}
	return o
}

// The parts of a data directory.
const (
	lockFile   = "LOCK"
	badgerDir  = "badger"
	storiesDir = "stories"
	filtersDir = "filters"
	stageDir   = "stage"
	blocksDir  = "blocks"
	accessDir  = "access"
)

// storeParts are the directories of a store. Beside them it has its mark.
var storeParts = []string{blocksDir, badgerDir, badgerDir + badgerdir.UnlistedSuffix, storiesDir, storiesDir + badgerdir.UnlistedSuffix, filtersDir, stageDir}

// swapFile says that a repair has begun to put its files in place. As long as it is there the store is not opened before
// that is finished.
const swapFile = "swap.json"

// swapOf is the swap that ends a repair of a directory.
func swapOf(dir string) *disk.Swap {
	return &disk.Swap{
		Dir: dir, Plan: swapFile, Parts: append([]string{journal.MarkName}, storeParts...),
		FreshPrefix: scratchPrefix, KeptPrefix: "damaged-",
	}
}

// Store is one open data directory. Its methods may be called from any goroutine.
type Store struct {
	dir      string
	opt      Options
	log      *slog.Logger
	lock     *os.File
	db       *badger.DB
	stories  *stories.DB
	secret   *secret.Secret
	space    space
	clock    *clock.Clock
	blocks   *blockCache
	files    block.Files
	disk     diskStats
	openedIn time.Duration

	view    atomic.Pointer[View]
	tags    recentTags
	queue   chan *pendingEvent // waiting writes, bounded
	rows    chan *pendingEvent // batches of bulk: they come after
	control chan func()        // run by the committer between two groups
	closing chan struct{}      // closed by Close
	stopped chan struct{}      // closed when the committer has ended
	tasks   sync.WaitGroup

	// These belong to the committer.
	mark   *journal.MarkFile
	tail   journal.Tail
	adding []*filter.Set // the records' filters that take new numbers: the view's, and one being rebuilt

	written    atomic.Uint64 // bytes put into the database since it was opened
	damageSeen atomic.Bool   // damage was met: what is not found may have been lost
	saved      atomic.Uint64 // revision of the records' filter on disk

	locks   *locks.Locks
	results resultCache
	deltas  deltas // of lists, that feeds read
	logs    feedLogs

	policies policies
	feeds    feeds

	respelling respelling
	loading    loadProgress
	refused    sync.Map // by list: the import that a guard refused last, whose stage stays
	records    recordJobs
	health     health
	watch      *watch

	accessLog *accesslog.Log
}

// Open opens the data directory, making it if it is not there, and verifies it. Errors: ErrLocked, ErrDiskFull, and
// ErrDamaged when the database cannot be opened at all. Damage that leaves it readable does not fail Open: see State.
func Open(dir string, o Options) (*Store, error) {
	start := time.Now()
	s := newStore(dir, o.withDefaults())
	s.clock = clock.New(o.Clock, o.Boottime)
	s.blocks = newBlockCache(s, s.opt.BlockCache)
	s.locks = locks.New()
	s.watch = newWatch(s)
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open store: %w", errors.Join(orSystem(err), s.closeFiles()))
	}
	s.feeds.begin(s.View())
	s.accessLog = s.openAccessLog()
	s.openedIn = time.Since(start)
	go s.commitLoop()
	s.startTasks()
	s.watch.start()
	return s, nil
}

// newStore is a store that is not open.
func newStore(dir string, o Options) *Store {
	s := &Store{
		dir: dir, opt: o, log: o.Logger,
		space:   space{dir: dir, minFree: o.MinFree, ballast: o.Ballast},
		queue:   make(chan *pendingEvent, queueLen),
		rows:    make(chan *pendingEvent, batchesOpen),
		control: make(chan func()),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		tail:    journal.Tail{Bytes: badgerdir.TailBytes},
	}
	s.files.Dir = filepath.Join(dir, blocksDir)
	s.health.init()
	return s
}

func (s *Store) open() error {
	if err := s.makeDirs(); err != nil {
		return err
	}
	var err error
	if s.lock, err = lockDir(s.dir); err != nil {
		return err
	}
	if err := disk.RequireOpenFiles(s.dir, badgerDir, storiesDir); err != nil {
		return err
	}
	if err := swapOf(s.dir).Finish(); err != nil {
		return err // what a repair built is in scratch
	}
	if err := s.sweepScratch(); err != nil {
		return err
	}
	if err := s.space.makeRoom(); err != nil {
		return err
	}
	if s.db, err = badgerdir.Open(badgerdir.Options(filepath.Join(s.dir, badgerDir), s.log), true); err != nil {
		return err
	}
	s.watch.tables = badgerdir.NewWatch(s.db)
	s.db.SetDiscardTs(0) // every version is kept
	s.stories, err = stories.Open(filepath.Join(s.dir, storiesDir), s.log)
	if s.stories == nil {
		return err
	}
	if err != nil {
		s.noteStories(err)
	}
	if s.stories.Badger != nil {
		s.watch.stories = badgerdir.NewWatch(s.stories.Badger)
	}
	if err := s.openSecret(); err != nil {
		return err
	}
	if err := s.openJournal(); err != nil {
		return err
	}
	if s.damageSeen.Load() {
		return nil
	}
	s.openFilters()
	return errors.Join(s.dropDeltas(), s.dropComparisons(), s.space.keepBallast())
}

func (s *Store) makeDirs() error {
	for _, d := range []string{"", filtersDir, stageDir, blocksDir} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// sweepScratch deletes what an fsck or a repair that was killed left behind.
func (s *Store) sweepScratch() error {
	left, err := filepath.Glob(filepath.Join(s.dir, scratchPrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// startTasks starts what runs beside the committer. A damaged store has none of these.
func (s *Store) startTasks() {
	if s.damageSeen.Load() {
		return
	}
	opened := s.View()
	s.run(func() { s.searchSetAside(opened) })
	s.startFilters()
	s.startLoads()
	s.startRespelling()
	s.run(s.sweepRecordImports)
	s.run(s.watchSpace)
	s.run(s.watchClock)
}

// run starts a task that ends soon after closing is closed.
func (s *Store) run(task func()) { s.tasks.Go(task) }

// View is the newest revision. A reader loads it once, before anything else.
func (s *Store) View() *View { return s.view.Load() }

// Now is the time that counts: the clock's, and never before the last event's.
func (s *Store) Now() time.Time { return s.View().Now() }

// Now is the time to answer at from the view: see Clock.
func (v *View) Now() time.Time {
	now, _ := v.Clock()
	return now
}

// Close ends what runs, saves the filters and closes the files. Waiting writes and loads get ErrClosed; no view may be
// read any more. On a disk that has no room to close even without the ballast it leaves the files as a crash would, and
// returns ErrDiskFull: nothing is lost. So it does where the
// database's own files were harmed: it would wait for them forever.
func (s *Store) Close() error {
	close(s.closing)
	<-s.stopped
	logged := s.accessLog.Close()
	s.locks.Close()
	s.tasks.Wait()
	s.blocks.close()
	if !s.watch.stop() {
		return fmt.Errorf("close store: %w", s.health.state().Cause)
	}
	healthy := s.health.state().Cause == nil
	if healthy {
		s.saveRecordsFilter()
	}
	if err := s.space.makeRoom(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	tip := s.tip()
	if err := s.closeDatabases(); err != nil {
		return fmt.Errorf("close store: %w", errors.Join(err, s.closeFiles()))
	}
	// Everything is in tables now: the next open need not verify it again.
	var err error
	if healthy {
		err = s.writeMark(tip, tip)
	}
	return errors.Join(err, logged, s.closeFiles())
}

// writeMark makes it durable that the journal reaches to tip.
func (s *Store) writeMark(tip, checkpoint journal.Position) error {
	m := journal.Mark{Journal: s.View().journal, Tip: tip, Checkpoint: checkpoint}
	return s.opt.faults.do(stepMark, func() error { return s.mark.Write(m) })
}

func (s *Store) tip() journal.Position { return s.View().position() }

func (s *Store) closeDatabases() error {
	err := errors.Join(s.db.Close(), s.stories.Close(), s.files.Close())
	s.db, s.stories = nil, nil
	return err
}

// closeFiles closes whatever is open; it serves a failed Open too.
func (s *Store) closeFiles() error {
	err := s.files.Close()
	if s.db != nil {
		err = errors.Join(err, s.db.Close())
	}
	if s.stories != nil {
		err = errors.Join(err, s.stories.Close())
	}
	if s.mark != nil {
		err = errors.Join(err, s.mark.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// lockDir locks the directory for this process. Errors: ErrLocked.
func lockDir(dir string) (*os.File, error) { return disk.Lock(filepath.Join(dir, lockFile)) }

const defaultMinFree = 2 << 30

const defaultBallast = 128 << 20

func (s *Store) warnIf(what string, err error) {
	if err != nil && !errors.Is(err, ErrClosed) {
		s.log.Warn("could not "+what, "err", err)
	}
}

func (s *Store) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}
