package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/cmd/dnc/internal/sqlitebase"
)

// followFlags are those of `dnc follow`.
type followFlags struct {
	db         string
	subscriber string
	key        string
	serverKeys []string
	once       bool
}

func (a *app) followCommand() *cobra.Command {
	var flags followFlags
	cmd := &cobra.Command{
		Use:   "follow --db FILE --subscriber NAME",
		Short: "Keep a table of blocked numbers in step with a subscriber's feed, and acknowledge it",
		Long: `Keep a table of blocked numbers in step with the feed of a subscriber, and acknowledge what was applied,
until it is stopped. FILE is made if it is not there: a database of SQLite with the view blocked, which
has number, scope, source, until and orphan of each number that may not be called now. Others may
read it meanwhile. docs/subscribers.md has its schema.

A new FILE gets a snapshot, which counts when it is whole. Then each change is applied as it is
recorded, once, also after a crash. When the server has lost data, the rows that it lacks stay
as orphans: dnc follow orphans shows them.

With --key, acknowledgements are signed. Without, they are claims, which a subscriber with
keys may not make. --server-key names the server's public key, which verifies what the server signs.
Without it, the first key that the server sends is kept, and verifies from then on. When the server
replaces its key, the new one is accepted if the old one signed that.

It ends with 0 when it is stopped, or with --once when the server has no more changes.`,
		Example: `  dnc follow --db blocked.sqlite --subscriber acme-south --key acme-south.key
  dnc follow --db blocked.sqlite --subscriber acme-south --once
  sqlite3 blocked.sqlite "SELECT 1 FROM blocked WHERE number = 14155550123 LIMIT 1"`,
		Args:              counted(0, 0, ""),
		RunE:              func(cmd *cobra.Command, _ []string) error { return a.follow(cmd, flags) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.db, "db", "", "`file` of SQLite to keep in step (required)")
	f.StringVar(&flags.subscriber, "subscriber", "", "the subscriber, by name (required)")
	f.StringVar(&flags.key, "key", "", "`file` of the base's private key, which `dnc key new` made: signs acknowledgements")
	f.StringSliceVar(&flags.serverKeys, "server-key", nil, "`file` of the server's public key; may be repeated")
	f.BoolVar(&flags.once, "once", false, "end when the server has no more changes")
	cmd.AddCommand(a.orphansCommand())
	a.completeSubscribers(cmd, "subscriber")
	return cmd
}

func (a *app) follow(cmd *cobra.Command, flags followFlags) (err error) {
	o, err := flags.options(cmd)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	base, err := sqlitebase.Open(context.WithoutCancel(cmd.Context()), flags.db)
	if err != nil {
		return withHint(err, hintDB(err))
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	progress := &snapshotProgress{app: a}
	o.Base, o.OnTrouble, o.OnSnapshot = base, a.newTroubles().report, progress.report
	err = c.Follow(cmd.Context(), o)
	if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) { // it was stopped, as it has to be
		err = nil
	}
	if err != nil {
		return hintFollow(err)
	}
	return hintFollow(a.printFollowed(base))
}

func (f *followFlags) options(cmd *cobra.Command) (o client.FollowOptions, err error) {
	for _, required := range []struct{ flag, value string }{{"db", f.db}, {"subscriber", f.subscriber}} {
		if strings.TrimSpace(required.value) == "" {
			return o, usagef(cmd, "--%s is missing", required.flag)
		}
	}
	o = client.FollowOptions{Subscriber: strings.ToLower(f.subscriber), Once: f.once}
	if f.key != "" {
		if _, o.Key, err = readKeyText(f.key); err != nil {
			return o, err
		}
	}
	for _, path := range f.serverKeys {
		text, err := os.ReadFile(path)
		if err != nil {
			return o, fmt.Errorf("--server-key: %w", err)
		}
		o.ServerKeys = append(o.ServerKeys, string(text))
	}
	return o, nil
}

func hintDB(err error) string {
	switch {
	case errors.Is(err, sqlitebase.ErrLocked):
		return "stop the other `dnc follow`, or give each a file of its own"
	case errors.Is(err, sqlitebase.ErrNoBase):
		return "name a file that `dnc follow` made, or one that is not there; if it is the base, and its beginning is damaged, " + hintAnotherFile
	case errors.Is(err, sqlitebase.ErrDamaged):
		return "dialers that read it may miss numbers: " + hintAnotherFile
	case errors.Is(err, sqlitebase.ErrNoRoom):
		return "make room and start it again: it continues where it stopped, and blocks what it did before"
	}
	return "--db names a file that this user can write, in a directory that it can write"
}

const hintAnotherFile = "move it away with its -wal and -shm, and run `dnc follow` again, which makes another from a snapshot"

// hintFollow adds what to do about errors that only following has.
func hintFollow(err error) error {
	switch {
	case errors.Is(err, client.ErrServerKey):
		return withHint(err, "once the operator has confirmed the fingerprint of the new key, which `dnc key show` prints, give it with --server-key NEW.pub")
	case errors.Is(err, client.ErrFeedBroken):
		return withHint(err, "nothing of it was applied, and the file still blocks what it did: tell the server's operator")
	case errors.Is(err, sqlitebase.ErrLocked), errors.Is(err, sqlitebase.ErrDamaged), errors.Is(err, sqlitebase.ErrNoRoom):
		return withHint(err, hintDB(err))
	case errors.Is(err, client.ErrOtherSubscriber):
		return withHint(err, "give each subscriber a file of its own with --db")
	}
	return err
}

// followed is what a file holds when following ends.
type followed struct {
	Subscriber string `json:"subscriber"`
	Revision   uint64 `json:"revision"`
	Rows       uint64 `json:"rows"`
	Orphans    uint64 `json:"orphans"`
}

func (a *app) printFollowed(base *sqlitebase.Base) error {
	ctx := context.Background() // the command's may have ended
	state, err := base.Load(ctx)
	if err != nil {
		return err
	}
	f := followed{Subscriber: state.Subscriber, Revision: state.Cursor.Position().Revision}
	if f.Rows, f.Orphans, err = base.Counts(ctx); err != nil {
		return err
	}
	return a.print(f, func() string {
		return fmt.Sprintf("%s is at revision %d with %s and %s", f.Subscriber, f.Revision, count(f.Rows, "row"), count(f.Orphans, "orphan"))
	})
}

// snapshotProgress writes how far a snapshot is.
type snapshotProgress struct {
	app *app
	at  time.Time // of the last line
}

func (s *snapshotProgress) report(p client.SnapshotProgress) {
	switch {
	case p.Done && p.KeepsOrphans:
		s.line("snapshot of %s counts; what the server lost stays as orphans: see `dnc follow orphans`", count(p.Staged, "row"))
	case p.Done:
		s.line("snapshot of %s counts", count(p.Staged, "row"))
	case p.Staged == 0 && p.Reason != nil:
		s.line("%v: reading a snapshot", p.Reason)
	case p.Staged == 0:
		s.line("reading a snapshot")
	case p.Staged > 0 && time.Since(s.at) > lineEvery:
		s.line("read %s of the snapshot", count(p.Staged, "row"))
	}
}

func (s *snapshotProgress) line(format string, args ...any) {
	s.at = time.Now()
	fmt.Fprintf(s.app.stderr, "dnc: %s %s\n", s.at.UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
}
