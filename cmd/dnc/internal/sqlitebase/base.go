// Package sqlitebase keeps the rows of a followed feed in a file of SQLite: the base of `dnc follow`.
//
// It promises:
//   - Rows and state change in one transaction, which is on disk when a method returns: WAL with synchronous=FULL.
//   - One process follows into a file at a time: Open locks FILE.lock, and writes into the file who opened it last. Whoever did not is
//     refused, also where the lock did not stop the other: under another name of the file, or on a system without locks. Others may read
//     meanwhile, and each reader sees one state.
//   - Rows that a snapshot stages are in a table of their own, and count for nothing before Swap.
//   - A file whose pages do not hold together, or that lacks the table of its rows, is refused when it is opened to be written: it could
//     block too little in silence.
//   - No error holds a number.
//
// The schema is documented in docs/subscribers.md: readers rely on it.
package sqlitebase

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite" // and the driver: SQLite in Go, without cgo
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/dncd/dncd/client"
)

// version is of the schema.
const version = 1

const schema = `
CREATE TABLE IF NOT EXISTS rows (
	number INTEGER NOT NULL,           -- digits of E.164
	scope  TEXT    NOT NULL,           -- '' is everyone
	source TEXT    NOT NULL,           -- 'opt-out', or the id of a list
	until  INTEGER,                    -- Unix time in nanoseconds; NULL: it does not end
	orphan INTEGER NOT NULL DEFAULT 0, -- 1: the server lost it
	PRIMARY KEY (number, scope, source, orphan)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS staged (
	number INTEGER NOT NULL,
	scope  TEXT    NOT NULL,
	source TEXT    NOT NULL,
	until  INTEGER,
	PRIMARY KEY (number, scope, source)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS blocked AS
	SELECT number, scope, source, until, orphan FROM rows WHERE until IS NULL OR until > strftime('%s', 'now') * 1000000000;
`

// ErrNoBase is returned for a file that holds no base.
var ErrNoBase = errors.New("the file holds no base of dnc follow")

// ErrDamaged is returned for a base whose pages or tables do not hold together: it may lack rows.
var ErrDamaged = errors.New("the file is damaged")

// ErrNoRoom is returned when a disk is full. The file is as it was before.
var ErrNoRoom = errors.New("there is no room for changes of the file")

// named says which of the errors above an error of SQLite is.
func named(err error) error {
	var of *sqlite.Error
	if !errors.As(err, &of) {
		return err
	}
	switch of.Code() & 0xff { // what is above the byte tells more
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

// Base is a client.Base in a file.
type Base struct {
	db     *sql.DB
	owner  string       // who follows; empty: nobody
	unlock func() error // nil: it is not locked
}

// Open opens a file to be written, and makes one that only its owner may read if it is not there. Errors: ErrLocked, ErrNoBase,
// ErrDamaged.
func Open(ctx context.Context, path string) (*Base, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return nil, err
	}
	b, err := openLocked(ctx, path)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	b.unlock = unlock
	return b, nil
}

func openLocked(ctx context.Context, path string) (*Base, error) {
	b, err := connect(path, "_txlock=immediate&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	isNew, err := b.isEmpty(ctx, path)
	if err == nil && !isNew {
		if err = b.check(ctx, path); err == nil {
			err = b.verify(ctx, path)
		}
	}
	if err == nil {
		err = b.init(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.db.Close())
	}
	return b, nil
}

// OpenExisting opens a file that is there, beside one who follows into it: to look at it, or to drop orphans. Errors: ErrNoBase.
func OpenExisting(ctx context.Context, path string, readOnly bool) (*Base, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoBase, path)
	}
	mode := "rw"
	if readOnly {
		mode = "ro"
	}
	b, err := connect(path, "mode="+mode+"&_txlock=immediate&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	if err := b.check(ctx, path); err != nil {
		return nil, errors.Join(err, b.db.Close())
	}
	return b, nil
}

// connect opens a file on one connection. Its readers and writers wait for each other for at most 10 s.
func connect(path, options string) (*Base, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: full, RawQuery: "_pragma=busy_timeout(10000)&" + options}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &Base{db: db}, nil
}

// isEmpty reports whether a database has no tables: it is new, or the process that made it was killed before they were there.
func (b *Base) isEmpty(ctx context.Context, path string) (bool, error) {
	var tables int
	if err := b.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return false, notBase(path, err)
	}
	return tables == 0, nil
}

// check refuses a file of something else, or of a later version.
func (b *Base) check(ctx context.Context, path string) error {
	var got int
	err := b.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'schema'`).Scan(&got)
	switch {
	case err != nil:
		return notBase(path, err)
	case got != version:
		return fmt.Errorf("%w: %s is of version %d, and this dnc knows version %d", ErrNoBase, path, got, version)
	}
	return nil
}

// notBase is the error for a file that cannot be read as a base.
func notBase(path string, err error) error {
	if err = named(err); errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrNoBase, path, err)
}

// verify reads all pages of a base, and looks for the table of its rows: init would make an empty one in its place.
func (b *Base) verify(ctx context.Context, path string) error {
	var found string
	if err := b.db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&found); err != nil {
		return notBase(path, err)
	}
	if found != "ok" {
		return fmt.Errorf("%s: %w: its pages do not hold together", path, ErrDamaged) // what was found may hold a number
	}
	var tables int
	if err := b.db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'rows'`).Scan(&tables); err != nil {
		return notBase(path, err)
	}
	if tables == 0 {
		return fmt.Errorf("%s: %w: the table of its rows is not there", path, ErrDamaged)
	}
	return nil
}

// init makes what is missing, and writes who follows from now on. Before it, nothing has changed a file that is not a base.
func (b *Base) init(ctx context.Context) error {
	if _, err := b.db.ExecContext(ctx, `PRAGMA journal_mode = WAL`); err != nil {
		return err
	}
	b.owner = rand.Text()
	return b.update(ctx, func(t *transaction) error {
		t.run(schema)
		t.run(`INSERT OR IGNORE INTO meta VALUES ('schema', ?)`, version)
		t.run(putMeta, "owner", b.owner)
		return t.err
	})
}

const putMeta = `INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value`

// Close ends the use of the file.
func (b *Base) Close() error {
	err := b.db.Close()
	if b.unlock != nil {
		err = errors.Join(err, b.unlock())
	}
	return err
}

// transaction runs statements until one fails.
type transaction struct {
	*sql.Tx
	ctx context.Context
	err error
}

func (t *transaction) run(statement string, args ...any) {
	if t.err == nil {
		_, t.err = t.ExecContext(t.ctx, statement, args...)
	}
}

// update runs f in a transaction.
func (b *Base) update(ctx context.Context, f func(*transaction) error) error {
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return named(err)
	}
	if err := f(&transaction{Tx: tx, ctx: ctx}); err != nil {
		return errors.Join(named(err), ignoreDone(tx.Rollback()))
	}
	return named(tx.Commit())
}

// follow runs f in a transaction, unless another process has opened the file since. Two that follow at once would each apply changes to
// rows that the other has changed, and staged rows of one would count as a snapshot of the other. Errors: ErrLocked.
func (b *Base) follow(ctx context.Context, f func(*transaction) error) error {
	return b.update(ctx, func(t *transaction) error {
		var owner string
		if err := t.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'owner'`).Scan(&owner); err != nil {
			return err
		}
		if owner != b.owner {
			return fmt.Errorf("%w: it has opened it since", ErrLocked)
		}
		return f(t)
	})
}

// ignoreDone passes over that the end of the context has rolled back already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// Load implements client.Base.
func (b *Base) Load(ctx context.Context) (s client.FollowState, err error) {
	var text string
	err = b.db.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'state'`).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return s, nil
	}
	if err != nil {
		return s, named(err)
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("%w: its state: %w", ErrDamaged, err)
	}
	return s, nil
}

// setState stores the state, and what people want to see of it.
func (t *transaction) setState(s client.FollowState) {
	text, err := json.Marshal(s)
	if t.err == nil {
		t.err = err
	}
	t.run(putMeta, "state", string(text))
	t.run(putMeta, "subscriber", s.Subscriber)
	t.run(putMeta, "revision", s.Cursor.Position().Revision)
	t.run(putMeta, "time", s.Time.UTC().Format(time.RFC3339Nano))
}

// Rows implements client.RowReader.
func (b *Base) Rows(ctx context.Context) iter.Seq2[client.Row, error] {
	return b.query(ctx, `SELECT number, scope, source, until FROM rows WHERE orphan = 0 ORDER BY number, scope, source`)
}

// Orphans yields the orphans in the order of client.Row.Compare.
func (b *Base) Orphans(ctx context.Context) iter.Seq2[client.Row, error] {
	return b.query(ctx, `SELECT number, scope, source, until FROM rows WHERE orphan = 1 ORDER BY number, scope, source`)
}

func (b *Base) query(ctx context.Context, statement string) iter.Seq2[client.Row, error] {
	return func(yield func(client.Row, error) bool) {
		rows, err := b.db.QueryContext(ctx, statement)
		if err != nil {
			yield(client.Row{}, named(err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var r client.Row
			var until sql.NullInt64
			if err := rows.Scan(&r.Number, &r.Scope, &r.Source, &until); err != nil {
				yield(client.Row{}, err)
				return
			}
			if until.Valid {
				r.Until = time.Unix(0, until.Int64).UTC()
			}
			if !yield(r, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(client.Row{}, named(err))
		}
	}
}

// Counts returns how many rows there are, and how many orphans beside them.
func (b *Base) Counts(ctx context.Context) (rows, orphans uint64, err error) {
	err = b.db.QueryRowContext(ctx, `SELECT count(*) - count(nullif(orphan, 0)), count(nullif(orphan, 0)) FROM rows`).Scan(&rows, &orphans)
	return rows, orphans, named(err)
}

// DropOrphans deletes all orphans, and returns how many there were.
func (b *Base) DropOrphans(ctx context.Context) (dropped int64, err error) {
	err = b.update(ctx, func(t *transaction) error {
		result, err := t.ExecContext(ctx, `DELETE FROM rows WHERE orphan = 1`)
		if err != nil {
			return err
		}
		dropped, err = result.RowsAffected()
		return err
	})
	return dropped, err
}
