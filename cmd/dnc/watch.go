package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
)

// watchFlags are those of `dnc watch`.
type watchFlags struct {
	from       string
	scopes     []string
	kinds      []string
	lists      []string
	subscriber string
}

func (a *app) watchCommand() *cobra.Command {
	var flags watchFlags
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show opt-outs, withdrawals and changes of lists as they are recorded, one a line",
		Long: `Show opt-outs, withdrawals and changes of lists as they are recorded, one a line, until it is stopped. It
begins now, or after a position of the past with --from. A stream that breaks is opened again from
where it was, and a line on standard error says so.

Without --subscriber it needs the role officer or admin, and shows what is within the caller's scopes.
Lists are shown if --list names them. In json, the last event of a write has a cursor: give it to
--from to continue after that event.

This shows changes. To keep a table of blocked numbers in step, use dnc follow.`,
		Example: `  dnc watch
  dnc watch --scope acme --kind opt-out,withdrawal -o json
  dnc watch --list us-ftc --from 1200@d0ca37e4b1f2486d9a05c3e87b6f1234:9f86d081884c7d65`,
		Args:              counted(0, 0, ""),
		RunE:              func(cmd *cobra.Command, _ []string) error { return a.watch(cmd, flags) },
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.from, "from", "", "show what came after this position, as REVISION@JOURNALID:TAG, or after a cursor (default: from now on)")
	f.StringSliceVar(&flags.scopes, "scope", nil, "opt-outs at this scope, above and below it; may be repeated (default: at every scope)")
	f.StringSliceVar(&flags.kinds, "kind", nil, "opt-out, withdrawal or list; several with commas (default: all)")
	f.StringSliceVar(&flags.lists, "list", nil, "changes of this list; may be repeated (default: no list)")
	f.StringVar(&flags.subscriber, "subscriber", "", "the feed of this subscriber, from a cursor of it")
	complete(cmd, "kind", watchKinds...)
	a.completeLists(cmd, "list")
	a.completeSubscribers(cmd, "subscriber")
	return cmd
}

// watchKinds are the values of --kind.
var watchKinds = []string{"opt-out", "withdrawal", "list"}

// kindOf is the value of --kind that an event falls under.
func kindOf(k client.ChangeKind) string {
	switch k {
	case client.ChangeOptOut:
		return "opt-out"
	case client.ChangeWithdrawal:
		return "withdrawal"
	}
	return "list"
}

// read returns where to begin and what to watch.
func (w *watchFlags) read(cmd *cobra.Command) (from client.Cursor, opts []client.WatchOption, err error) {
	for _, kind := range w.kinds {
		if err := oneOf(cmd, "kind", kind, watchKinds); err != nil {
			return "", nil, err
		}
	}
	switch {
	case w.subscriber != "" && len(w.scopes)+len(w.lists) > 0:
		return "", nil, usagef(cmd, "--subscriber has a filter of its own: leave out --scope and --list")
	case w.subscriber != "" && w.from == "":
		return "", nil, usagef(cmd, "--subscriber needs --from: a cursor of its feed")
	case w.subscriber != "":
		opts = append(opts, client.Subscriber(w.subscriber))
	}
	for _, scope := range w.scopes {
		opts = append(opts, client.Scope(scope))
	}
	for _, list := range w.lists {
		opts = append(opts, client.InList(list))
	}
	if w.from == "" {
		return "", opts, nil
	}
	if p, err := client.ParsePosition(w.from); err == nil && p.Tag != "" {
		return client.CursorAt(p), opts, nil
	}
	if from = client.Cursor(w.from); from.Position().Revision == 0 {
		return "", nil, usagef(cmd, "--from is neither REVISION@JOURNALID:TAG, as a write returns with -o json, nor a cursor that dnc watch printed")
	}
	return from, opts, nil
}

func (a *app) watch(cmd *cobra.Command, flags watchFlags) error {
	from, opts, err := flags.read(cmd)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	t := a.newTroubles()
	w := &watchWriter{app: a, kinds: flags.kinds}
	for change, err := range c.Watch(cmd.Context(), from, append(opts, client.OnBreak(t.report))...) {
		if err == nil {
			err = w.take(change)
		}
		switch {
		case err != nil && cmd.Context().Err() != nil: // it was stopped, as it has to be
			return nil
		case errors.Is(err, client.ErrListNotFound):
			return withHint(err, "`dnc list ls` shows the lists")
		case err != nil:
			return err
		}
	}
	return nil
}

// watchWriter writes the events of a write when all of it came.
type watchWriter struct {
	app     *app
	kinds   []string
	waiting []watchEvent
	rows    map[string]rowCount // by the id of the list
}

// rowCount is how many numbers came to a list, and went from it.
type rowCount struct{ added, removed int }

func (w *watchWriter) take(c client.Change) error {
	switch c.Kind {
	case client.ChangeBookmark:
		return w.flush(c.Cursor)
	case client.ChangeListAdded, client.ChangeListRemoved:
		w.count(c)
		return nil
	}
	if len(w.kinds) == 0 || slices.Contains(w.kinds, kindOf(c.Kind)) {
		w.waiting = append(w.waiting, watchEvent{c, w.rows[c.ListID]})
	}
	delete(w.rows, c.ListID)
	return nil
}

func (w *watchWriter) count(c client.Change) {
	if w.rows == nil {
		w.rows = map[string]rowCount{}
	}
	n := w.rows[c.ListID]
	if c.Kind == client.ChangeListAdded {
		n.added += len(c.Digits)
	} else {
		n.removed += len(c.Digits)
	}
	w.rows[c.ListID] = n
}

func (w *watchWriter) flush(cursor client.Cursor) error {
	for i, e := range w.waiting {
		if i == len(w.waiting)-1 && len(w.rows) == 0 {
			e.Cursor = cursor
		}
		if err := w.app.print(e.object(), e.text); err != nil {
			return err
		}
	}
	w.waiting = w.waiting[:0]
	return nil
}

// watchEvent is a line of `dnc watch`.
type watchEvent struct {
	client.Change
	rows rowCount
}

// watchObject is a watchEvent as json.
type watchObject struct {
	Kind          client.ChangeKind `json:"kind"`
	Revision      uint64            `json:"revision"`
	Index         uint32            `json:"index"`
	Time          time.Time         `json:"time"`
	Number        *string           `json:"number"`
	Scope         *string           `json:"scope"`
	Until         *time.Time        `json:"until"`
	List          *string           `json:"list"`
	ListID        *string           `json:"list_id"`
	Numbers       *uint64           `json:"numbers"`
	Added         *int              `json:"added"`
	Removed       *int              `json:"removed"`
	ContentSHA256 *string           `json:"content_sha256"`
	Cursor        *string           `json:"cursor"`
}

// object leaves out what the kind does not have, and keeps what may be zero or empty.
func (e watchEvent) object() any {
	o := watchObject{
		Kind: e.Kind, Revision: e.ID.Revision, Index: e.ID.Index, Time: e.Time.UTC(),
		Number: unlessZero(e.Number), List: unlessZero(e.List), ListID: unlessZero(e.ListID),
		ContentSHA256: unlessZero(e.ContentSHA256), Cursor: unlessZero(string(e.Cursor)),
	}
	if !e.Until.IsZero() {
		until := e.Until.UTC()
		o.Until = &until
	}
	if e.Kind != client.ChangeListDeleted && e.Kind != client.ChangeListInDoubt {
		o.Scope = &e.Scope
	}
	if e.Kind == client.ChangeListLoaded {
		o.Numbers, o.Added, o.Removed = &e.Numbers, &e.rows.added, &e.rows.removed
	}
	return o
}

// unlessZero is nil for a zero value.
func unlessZero[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

func (e watchEvent) text() string {
	text := fmt.Sprintf("%d.%d  %s  ", e.ID.Revision, e.ID.Index, stamp(e.Time))
	switch e.Kind {
	case client.ChangeOptOut:
		return text + "opt-out " + e.Number + " for " + forWhom(e.Scope) + note(until(e.Until))
	case client.ChangeWithdrawal:
		return text + "withdrawal " + e.Number + " for " + forWhom(e.Scope)
	case client.ChangeListLoaded:
		return text + fmt.Sprintf("list loaded %s for %s (%s, %d added, %d removed)", e.List, forWhom(e.Scope), count(e.Numbers, "number"), e.rows.added, e.rows.removed)
	case client.ChangeListMoved:
		return text + "list moved " + e.List + " to " + forWhom(e.Scope)
	}
	return text + lower(e.Kind) + " " + e.List
}

// troubles writes a line for each problem after which a command continues. One that lasts is repeated now and then.
type troubles struct {
	app  *app
	last string
	at   time.Time
}

// troubleEvery is after how long the same problem is written again.
const troubleEvery = time.Minute

func (a *app) newTroubles() *troubles { return &troubles{app: a} }

func (t *troubles) report(err error) {
	cause := err.Error()
	var e *client.Error
	if errors.As(err, &e) { // without what it was about, such as a position
		cause = e.Message
	}
	if cause != t.last || time.Since(t.at) > troubleEvery {
		t.last, t.at = cause, time.Now()
		fmt.Fprintf(t.app.stderr, "dnc: %s %v: continuing\n", t.at.UTC().Format(time.RFC3339), err)
	}
}
