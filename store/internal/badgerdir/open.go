// Package badgerdir opens Badger databases, and looks after their files. It verifies what Badger would take on trust,
// deletes nothing that Badger would delete, and reads what can be read of a damaged directory.
package badgerdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/fault"
)

// Badger's sizes, for a small footprint.
const (
	memTables     = 2
	maxValueBytes = 1 << 20 // every value is smaller, so that none goes to the value log
	vlogFileBytes = 1 << 20

	// baseLevelBytes is about what five memtables hold, which Badger compacts together: a smaller first level has the same
	// bytes written once more a level.
	baseLevelBytes = 5 * MemTableBytes

	// TailBytes is more than Badger can hold in memtables that are not tables yet: what was written earlier than the last
	// TailBytes is in tables.
	TailBytes = 2 * (memTables + 1) * MemTableBytes
)

// Options are the settings of every database, see docs/design/001: a commit is synced before it returns, a flipped bit in a
// table is an error at open, and no value is in the value log.
func Options(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLog{log}).
		WithSyncWrites(true).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithChecksumVerificationMode(options.OnTableRead).
		WithMetricsEnabled(false).
		WithMemTableSize(MemTableBytes).
		WithNumMemtables(memTables).
		WithBaseLevelSize(baseLevelBytes).
		WithValueThreshold(maxValueBytes).
		WithValueLogFileSize(vlogFileBytes).
		WithNumCompactors(2)
}

// Open checks the files of a database and opens it. It refuses what Badger would take for an empty or a shorter database.
// Errors: fault.ErrLocked, fault.ErrDamaged, fault.ErrSystem.
func Open(opt badger.Options, managed bool) (*badger.DB, error) {
	if err := prepareFiles(opt.Dir); err != nil {
		return nil, err
	}
	for _, step := range []func(badger.Options) error{setAside, checkTables, keepTornLogs} {
		if err := step(opt); err != nil {
			return nil, err
		}
	}
	return openChecked(opt, managed)
}

// openChecked opens a database whose files were checked.
func openChecked(opt badger.Options, managed bool) (*badger.DB, error) {
	open := badger.Open
	if managed {
		open = badger.OpenManaged
	}
	var db *badger.DB
	err := disk.RetryLocked(func() (err error) {
		db, err = protectOpen(open, opt)
		if err != nil && strings.Contains(err.Error(), "Another process is using this Badger database") {
			return fault.ErrLocked
		}
		return err
	})
	if err == nil || errors.Is(err, fault.ErrLocked) {
		return db, err
	}
	return nil, fault.AsDamage(err)
}

// protectOpen turns a panic of Badger over a damaged file into an error.
func protectOpen(open func(badger.Options) (*badger.DB, error), opt badger.Options) (db *badger.DB, err error) {
	defer recoverDamage(&err)
	return open(opt)
}

// prepareFiles removes the empty logs that a power cut leaves, which stop Badger, and refuses a directory that has tables
// and no MANIFEST: Badger would delete them.
func prepareFiles(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("read data directory: %w", err)
	}
	tables, manifest := false, false
	for _, f := range files {
		switch ext := filepath.Ext(f.Name()); {
		case ext == ".sst":
			tables = true
		case f.Name() == "MANIFEST":
			manifest = true
		case ext == ".mem" || ext == ".vlog":
			if err := removeEmpty(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	if tables && !manifest {
		return fmt.Errorf("%w: %s has tables and no MANIFEST", fault.ErrDamaged, filepath.Base(dir))
	}
	return nil
}

func removeEmpty(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("check log file: %w", err)
	}
	if info.Size() > 0 {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove empty log file: %w", err)
	}
	return nil
}

// badgerLog passes on Badger's warnings and errors, without the keys in them, which are people's numbers.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any) { l.emit(slog.LevelError, f, a) }

func (l badgerLog) Warningf(f string, a ...any) { l.emit(slog.LevelWarn, f, a) }

func (badgerLog) Infof(string, ...any) {}

func (badgerLog) Debugf(string, ...any) {}

func (l badgerLog) emit(level slog.Level, f string, a []any) {
	safe := make([]any, len(a))
	for i := range a {
		safe[i] = withoutKeys(a[i])
	}
	l.log.Log(context.Background(), level, "badger: "+strings.TrimSpace(fmt.Sprintf(f, safe...)))
}

// withoutKeys lets numbers, texts and errors through. Bytes are a key or a value, and a structure may hold some.
func withoutKeys(a any) any {
	if _, ok := a.(error); ok {
		return a
	}
	switch k := reflect.ValueOf(a).Kind(); {
	case k == reflect.String, k >= reflect.Bool && k <= reflect.Float64:
		return a
	}
	return withheld{}
}

// withheld replaces what is not logged, whatever the verb.
type withheld struct{}

func (withheld) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(withheld)") }

// FlushBytes bounds the room that the logs of a database take as tables. Opening and closing make tables of them.
func FlushBytes(dir string) (bytes int64, err error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return 0, fmt.Errorf("look at the logs: %w", err)
	}
	for _, log := range logs {
		if info, err := os.Stat(log); err == nil { // else flushed since
			bytes += disk.TakenBytes(info) * 5 / 4
		}
	}
	return bytes, nil
}
