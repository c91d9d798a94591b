package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/dncd/dncd/store"
)

// fsckWork is what fsck was called for.
type fsckWork struct{ repair, acceptLoss, restored bool }

func fsckCommand(c *config) *cobra.Command {
	var w fsckWork
	cmd := &cobra.Command{
		Use:   "fsck",
		Short: "Verify a stopped server's store, and repair it",
		Long: `fsck reads everything that the store holds and compares it with its checksums, its chain of revisions
and its mark. The server must be stopped. It changes nothing without --repair or --restored.

After a backup was put back, run it with --restored before the server starts: what was acknowledged after the
backup is gone, so the journal gets a new id, and clients notice.

Exit code: 0 when the store is whole, or was repaired; 1 when problems were found; 2 when fsck itself failed.`,
		Example: `  dncd fsck --data /var/lib/dncd
  dncd fsck --data /var/lib/dncd --restored
  dncd fsck --data /var/lib/dncd --repair`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if w.acceptLoss && !w.repair {
				return usageError{errors.New("--accept-loss needs --repair")}
			}
			if w.repair && w.restored {
				return usageError{errors.New("--repair and --restored are two steps: give one")}
			}
			return fsck(cmd.Context(), c, w, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&w.repair, "repair", false, "rebuild what can be rebuilt into a fresh directory; the old one is kept")
	cmd.Flags().BoolVar(&w.acceptLoss, "accept-loss", false, "with --repair: continue although acknowledged writes are gone; the journal gets a new id")
	cmd.Flags().BoolVar(&w.restored, "restored", false, "state that the directory was restored from a copy; the journal gets a new id")
	return cmd
}

const progressEvery = 5 * time.Second

func (w fsckWork) String() string {
	if w.repair {
		return "checking and repairing"
	}
	return "checking"
}

func (w fsckWork) run(ctx context.Context, dir string, o store.Options) (store.Report, error) {
	switch {
	case w.repair:
		return store.Repair(ctx, dir, w.acceptLoss, o)
	case w.restored:
		return store.Restored(ctx, dir, o)
	}
	return store.Fsck(ctx, dir, o)
}

func fsck(ctx context.Context, c *config, w fsckWork, stdout, stderr io.Writer) error {
	log, err := newLogger(stderr, c.logLevel, c.logFormat)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s %s\n", w, c.data)
	done := reportTime(stderr, w.String())
	report, err := w.run(ctx, c.data, store.Options{Logger: log})
	done()
	tellProblems(stdout, &report)
	err = w.tell(stdout, c, &report, err)
	if key := tellSigningKey(stdout, c); err == nil {
		err = key
	}
	return err
}

// tell says what came of it.
func (w fsckWork) tell(stdout io.Writer, c *config, report *store.Report, err error) error {
	switch {
	case errors.Is(err, store.ErrLoss), errors.Is(err, store.ErrNoEnd):
		tellUnloaded(stdout, report, "these lists would not be loaded any more")
		tellDoubtful(stdout, report)
		return dataError{c.data, err}
	case err != nil:
		return dataError{c.data, err}
	case report.Restored != nil:
		tellRestored(stdout, report)
	case report.OK():
		tellWhole(stdout, c.data, report)
		if len(report.Past) > 0 || errors.Is(report.Secret, store.ErrDamaged) {
			return errProblems
		}
	case report.Repaired:
		tellRepaired(stdout, report)
	default:
		fmt.Fprintf(stdout, "%s found in %s\nhint: %s\n", counted(uint64(len(report.Problems)+len(report.Newer)), "problem", "problems"), c.data, repairHint(c.data, report))
		return errProblems
	}
	return nil
}

func repairHint(dir string, r *store.Report) string {
	if len(r.Problems) == 0 {
		return hintFor(dataError{dir, store.ErrOlderJournal})
	}
	if r.NoEnd && len(r.Lost) == 0 {
		return noEndHint(dir)
	}
	return fmt.Sprintf("dncd fsck --data %s --repair repairs what can be repaired, and keeps the old files", dir)
}

// reportTime writes a line every few seconds until its result is called.
func reportTime(w io.Writer, work string) (stop func()) {
	start := time.Now()
	tick := time.NewTicker(progressEvery)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(w, "still %s, %v\n", work, time.Since(start).Round(time.Second))
			case <-quit:
				return
			}
		}
	}()
	return func() {
		tick.Stop()
		close(quit)
		<-ended
	}
}

func tellProblems(w io.Writer, r *store.Report) {
	for _, p := range r.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
	for _, n := range r.Newer {
		fmt.Fprintln(w, "newer than the journal:", n)
	}
	for _, g := range r.Lost {
		if g.From == g.To {
			fmt.Fprintf(w, "lost: acknowledged revision %d\n", g.From)
			continue
		}
		fmt.Fprintf(w, "lost: acknowledged revisions %d to %d\n", g.From, g.To)
	}
	if r.NoEnd {
		fmt.Fprintf(w, "no mark says where the journal ends: the last revision that is there is %d, and what came after it is unknown\n", r.Revision)
	}
	for _, l := range r.LostLists {
		fmt.Fprintln(w, "lost with the revisions, so that no check uses it any more:", l)
	}
}

func tellUnloaded(w io.Writer, r *store.Report, what string) {
	if len(r.Unloaded) > 0 {
		fmt.Fprintf(w, "%s: %s\n", what, strings.Join(r.Unloaded, ", "))
	}
}

func tellDoubtful(w io.Writer, r *store.Report) {
	if len(r.Doubtful) > 0 {
		fmt.Fprintf(w, "load these lists again, the lost revisions may have changed them: %s\n", strings.Join(r.Doubtful, ", "))
	}
	if r.DoubtfulPolicy {
		fmt.Fprintln(w, "the lost revisions may have set another policy than the one in force: look at it with `dnc policy show`")
	}
	if len(r.DoubtfulSubscribers) > 0 {
		fmt.Fprintf(w, "the lost revisions may have changed or removed subscribers: look at each of these with `dnc subscriber show`: %s\n", strings.Join(r.DoubtfulSubscribers, ", "))
	}
	if len(r.DoubtfulGrants) > 0 {
		fmt.Fprintf(w, "the lost revisions may have revoked tokens or certificates: if you revoked one of these, revoke it again: %s\n", strings.Join(r.DoubtfulGrants, ", "))
	}
}

func tellWhole(w io.Writer, dir string, r *store.Report) {
	fmt.Fprintf(w, "%s is whole: revision %d of journal %s, %s, %s, %s\n", dir, r.Revision, r.JournalID,
		counted(r.Events, "event", "events"), counted(uint64(r.Lists), "list", "lists"), counted(r.Stories, "story", "stories"))
	if r.Gone.Stories > 0 {
		fmt.Fprintf(w, "stories that an earlier repair could not find: %v; no check depends on them\n", r.Gone)
	}
	for _, p := range r.Past {
		fmt.Fprintln(w, "older content is damaged:", p)
	}
	tellSecret(w, r)
	if len(r.Past) > 0 {
		fmt.Fprintln(w, "no check depends on it and it cannot be repaired: as-of reads and a revert that need it fail; load the list again instead")
	}
}

func tellSecret(w io.Writer, r *store.Report) {
	const next = "no check depends on it: the next start makes another, and then positions handed out before are refused (JOURNAL_FORKED), " +
		"unless the file is restored from a backup"
	switch {
	case errors.Is(r.Secret, store.ErrDamaged):
		fmt.Fprintf(w, "the file secret is damaged; %s\n", next)
	case r.Secret != nil:
		fmt.Fprintf(w, "there is no file secret; %s\n", next)
	}
}

// tellSigningKey reports a signing key with which dncd does not start. Nobody but a person replaces it: the bases know it.
func tellSigningKey(w io.Writer, c *config) error {
	path := c.signingKeyPath()
	_, err := readSigningKey(path, slog.New(slog.DiscardHandler))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fmt.Fprintf(w, "the key that signs checkpoints, %s, cannot be read, and dncd does not start with it: %v\n"+
		"put the file back from a backup, or move it away: the next start then makes another, whose public half every base needs\n", path, err)
	return errProblems
}

// counted is a count with its noun.
func counted(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + more
}

func tellRestored(w io.Writer, r *store.Report) {
	fmt.Fprintf(w, "restored: the copy ends at revision %d of journal %s; the store continues at revision %d of journal %s\n",
		r.Restored.Revision, r.Restored.JournalID, r.Revision, r.JournalID)
	if r.Kept != "" {
		fmt.Fprintf(w, "what is newer than the copy is kept in %s\n", r.Kept)
	}
}

func tellRepaired(w io.Writer, r *store.Report) {
	fmt.Fprintf(w, "repaired: revision %d of journal %s\n", r.Revision, r.JournalID)
	if r.Kept != "" {
		fmt.Fprintf(w, "the damaged files are kept in %s: remove them when all is well\n", r.Kept)
	}
	if r.Missing.Stories > 0 {
		fmt.Fprintf(w, "stories that could not be found any more: %v; no check depends on them\n", r.Missing)
	}
	tellUnloaded(w, r, "load these lists again, checks answer NOT_LOADED until then")
	tellDoubtful(w, r)
	if len(r.LostLists) > 0 {
		fmt.Fprintf(w, "create these lists again and load them, checks do not use them until then: %s\n", strings.Join(r.LostLists, ", "))
	}
	for _, m := range r.Missed {
		fmt.Fprintf(w, "not applied, because it needs what is lost: %s\n", m)
	}
}
