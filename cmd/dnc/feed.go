package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
)

// feedFlags are those of `dnc feed`.
type feedFlags struct {
	out, format, numbers, region, ack string
	full                              bool
}

var (
	feedFormats   = []string{"csv", "plain", "jsonl"}
	numberFormats = []string{"e164", "digits", "national"}
)

func (a *app) feedCommand() *cobra.Command {
	var flags feedFlags
	cmd := &cobra.Command{
		Use:   "feed NAME (--out DIR | --ack NOTE.ack)",
		Short: "Write files for a calling base that takes files, and hand in what it acknowledged",
		Long: `Write into DIR what a calling base has to block and what it may free, as files. They begin where the base's last
acknowledgement as durable or applied ends, and say the final state of everything since: they may be applied on top of any earlier ones. Before
the first acknowledgement, and with --full, they hold all that the base should block.

DIR gets files whose names begin with NAME-EPOCH-POSITION, then
  full         everything: what the base has from earlier files and is not in these is to be freed
  since-P      changes after position P: block what *.block has, free what *.allow has
  add          everything, but nothing is to be freed: the server cannot say what
and the format at last. *.files has counts and SHA-256 of the others. *.note is written last: once it is there, the files
are whole. NAME.server-key has the notes by which the server replaced its key, once it did: dnc verify reads it. The base signs the
note with dnc key sign, and --ack hands in the acknowledgement that comes back, as dnc subscriber ack
does.

csv and plain free a number when nothing that concerns the base blocks it any more. jsonl has each row, also one that is gone
from a number that is still blocked.

Exit code 1: the files were written, and a person should look: an earlier feed in DIR was not acknowledged, or DIR holds
feeds of what the server lost. The name of the note goes to standard output.`,
		Example: `  dnc feed acme-south --out /srv/feeds
  dnc feed acme-south --out /srv/feeds --full --format plain --number-format national --region FR
  dnc key sign FEED.note --stage applied --key acme-south.key > FEED.ack
  dnc feed acme-south --ack FEED.ack`,
		Args: counted(1, 1, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if flags.ack != "" {
				return a.feedAck(cmd, args[0], flags)
			}
			return a.feed(cmd, args[0], flags)
		},
		ValidArgsFunction: a.firstIsSubscriber,
	}
	f := cmd.Flags()
	f.StringVar(&flags.out, "out", "", "`directory` for the files, which exists (required)")
	f.BoolVar(&flags.full, "full", false, "everything that the base should block, also after an acknowledgement")
	f.StringVar(&flags.format, "format", "csv", "csv: number, scope, source, until; plain: a number a line; or jsonl: a row a line")
	f.StringVar(&flags.numbers, "number-format", "e164", "e164; digits: without the plus; or national: as in --region, others as e164")
	f.StringVar(&flags.region, "region", "", "the region of --number-format national, such as FR")
	f.StringVar(&flags.ack, "ack", "", "hand in this `note` that the base signed, or - for standard input")
	complete(cmd, "format", feedFormats...)
	complete(cmd, "number-format", numberFormats...)
	return cmd
}

func (a *app) feedAck(cmd *cobra.Command, name string, flags feedFlags) error {
	if flags.out != "" || flags.full {
		return usagef(cmd, "--ack hands in an acknowledgement: leave out --out and --full")
	}
	note, err := readNote(cmd, flags.ack)
	if err != nil {
		return err
	}
	return a.subscriberAck(cmd, name, client.Acknowledgement{Note: note})
}

// read returns how the files are to be written.
func (f *feedFlags) read(cmd *cobra.Command) (form feedForm, err error) {
	if strings.TrimSpace(f.out) == "" {
		return form, usagef(cmd, "--out is missing: the directory for the files")
	}
	f.format, f.numbers = strings.ToLower(f.format), strings.ToLower(f.numbers)
	if err := oneOf(cmd, "format", f.format, feedFormats); err != nil {
		return form, err
	}
	if err := oneOf(cmd, "number-format", f.numbers, numberFormats); err != nil {
		return form, err
	}
	form = feedForm{format: f.format, numbers: f.numbers}
	switch isNational := f.numbers == "national"; {
	case isNational && f.region == "":
		return form, usagef(cmd, "--region is missing: numbers are national in one region, such as FR")
	case !isNational && f.region != "":
		return form, usagef(cmd, "--region is that of --number-format national, which is missing")
	case isNational:
		if form.region, err = phone.ParseRegion(f.region); err != nil {
			return form, usagef(cmd, "--region %q is not a region such as FR", f.region)
		}
	}
	return form, nil
}

func (a *app) feed(cmd *cobra.Command, name string, flags feedFlags) error {
	form, err := flags.read(cmd)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	status, err := c.Subscriber(cmd.Context(), strings.ToLower(name))
	if err != nil {
		return err
	}
	dir, err := openFeedDir(flags.out, status)
	if err != nil {
		return withHint(fmt.Errorf("--out: %w", err), "--out names a directory that exists, and that this user can write; a note that is damaged may be moved away")
	}
	r := &feedRun{dir: dir, form: form, status: status}
	progress := a.startProgress(func() progressState {
		return progressState{what: "reading the feed, rows:", done: r.rows.Load()}
	})
	err = r.run(cmd.Context(), c, flags.full)
	progress.stop()
	if err != nil {
		return err
	}
	return a.reportFeed(r)
}

// feedRun is one call of `dnc feed`.
type feedRun struct {
	dir    *feedDir
	form   feedForm
	status client.SubscriberStatus

	rows   atomic.Int64
	header *client.FeedHeader
	lost   bool // the directory has feeds of what the server lost
	at     feed.Checkpoint
	files  *feedFiles
	unsent []string // notes of earlier feeds that were not acknowledged
}

// errNeedsFull ends a feed of changes that has to be a snapshot.
var errNeedsFull = errors.New("the directory has feeds of what the server lost")

func (r *feedRun) run(ctx context.Context, c *client.Client, full bool) error {
	for {
		err := r.write(ctx, c, full)
		if full || !errors.Is(err, errNeedsFull) && !errors.Is(err, client.ErrHistoryGone) {
			return err
		}
		full = true
	}
}

// write writes the files of one feed. With an error it leaves none of them, unless they could not be renamed; then there is no note.
func (r *feedRun) write(ctx context.Context, c *client.Client, full bool) (err error) {
	var opts []client.FeedOption
	if !full {
		opts = append(opts, client.SinceAcknowledged())
	}
	r.rows.Store(0)
	r.files = &feedFiles{dir: r.dir.path, form: r.form}
	defer func() { err = errors.Join(err, r.files.abandon()) }()
	for part, err := range c.GetFeed(ctx, r.status.Name, opts...) {
		switch {
		case err != nil:
			return err
		case part.Header != nil:
			err = r.begin(part.Header)
		case part.Checkpoint != "":
			err = r.end(part.Checkpoint, part.KeyRotations)
		default:
			r.rows.Add(int64(len(part.Rows)))
			err = r.files.write(part.Rows)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *feedRun) begin(h *client.FeedHeader) error {
	r.header = h
	if r.lost = r.dir.holdsLost(h.Cursor.Position()); r.lost && h.After != "" {
		return errNeedsFull
	}
	return r.files.begin(r.dir.name, r.kind() == feedChanges)
}

// feedKind is what a feed says about what is not in it.
type feedKind string

const (
	feedFull    feedKind = "full"
	feedChanges feedKind = "since"
	feedAdd     feedKind = "add"
)

// kind is what the base has to do with the feed. What the server lost, or cannot read, is not to be freed.
func (r *feedRun) kind() feedKind {
	switch {
	case r.header.After != "":
		return feedChanges
	case r.lost || len(r.inDoubt()) > 0:
		return feedAdd
	}
	return feedFull
}

// inDoubt are the lists that the server cannot read now.
func (r *feedRun) inDoubt() (names []string) {
	for _, l := range r.header.Lists {
		if l.InDoubt {
			names = append(names, cmp.Or(l.Name, l.ID))
		}
	}
	return names
}

// end gives the files their names, that of the note last.
func (r *feedRun) end(note string, rotations []string) (err error) {
	if r.at, _, err = feed.ReadCheckpoint([]byte(note)); err != nil {
		return err
	}
	kind := string(r.kind())
	if r.kind() == feedChanges {
		kind += fmt.Sprintf("-%012d", r.header.After.Position().Revision)
	}
	r.unsent = r.dir.unacknowledged(r.at, r.status)
	stem := fmt.Sprintf("%s-%012d-%012d-%s", r.status.Name, r.at.Epoch, r.at.Revision, kind)
	return r.files.keep(r.dir.name, stem, r.describe(), note, rotations)
}

// describe are the lines of *.files before the hashes.
func (r *feedRun) describe() []string {
	after := "-"
	if r.header.After != "" {
		after = fmt.Sprint(r.header.After.Position().Revision)
	}
	numbers := r.form.numbers
	if r.form.region != 0 {
		numbers += " " + r.form.region.String()
	}
	lines := []string{
		"dncd feed 1", "subscriber " + r.status.Name + " " + feed.FormatEventID(r.at.Subscriber), "journal " + r.at.Journal,
		fmt.Sprintf("epoch %d", r.at.Epoch), fmt.Sprintf("position %d %s", r.at.Revision, r.at.Tag), "after " + after, "kind " + string(r.kind()),
		"format " + r.form.format, "numbers " + numbers,
	}
	for _, name := range r.inDoubt() {
		lines = append(lines, "in doubt "+name)
	}
	return lines
}

// feedReport is what was written, as json.
type feedReport struct {
	Subscriber     string   `json:"subscriber"`
	JournalID      string   `json:"journal_id"`
	Epoch          uint64   `json:"epoch"`
	Revision       uint64   `json:"revision"`
	After          *uint64  `json:"after"`
	Kind           feedKind `json:"kind"`
	Rows           uint64   `json:"rows"`
	Blocked        uint64   `json:"blocked"`
	Allowed        uint64   `json:"allowed"`
	NotNational    uint64   `json:"not_national"`
	Files          []string `json:"files"`
	Note           string   `json:"note"`
	InDoubt        []string `json:"in_doubt"`
	Unacknowledged []string `json:"unacknowledged"`
	HoldsLost      bool     `json:"holds_lost"`
}

func (a *app) reportFeed(r *feedRun) error {
	report := feedReport{
		Subscriber: r.status.Name, JournalID: r.at.Journal, Epoch: r.at.Epoch, Revision: r.at.Revision, Kind: r.kind(), Rows: uint64(r.rows.Load()),
		Blocked: r.files.blocked.lines, Allowed: r.files.allowedLines(), NotNational: r.files.notNational,
		Files: r.files.kept, Note: filepath.Join(r.dir.path, r.files.note),
		InDoubt: append([]string{}, r.inDoubt()...), Unacknowledged: append([]string{}, r.unsent...), HoldsLost: r.lost,
	}
	if r.header.After != "" {
		report.After = &[]uint64{r.header.After.Position().Revision}[0]
	}
	if a.output == "text" {
		a.saySummary(report, len(r.status.Keys) > 0)
	}
	a.warnOfFeed(report)
	return a.print(report, func() string { return report.Note })
}

func (a *app) saySummary(r feedReport, hasKeys bool) {
	what := "everything"
	switch {
	case r.After != nil:
		what = fmt.Sprintf("what changed after revision %d", *r.After)
	case r.Kind == feedAdd:
		what = "everything, to be added and nothing to be freed"
	}
	fmt.Fprintf(a.stderr, "%s at revision %d: %s\n", r.Subscriber, r.Revision, what)
	fmt.Fprintf(a.stderr, "  %s read, %s to block, %s to free\n", count(r.Rows, "row"), count(r.Blocked, "line"), count(r.Allowed, "line"))
	if r.NotNational > 0 {
		fmt.Fprintf(a.stderr, "  %s without a national form there, written as e164\n", count(r.NotNational, "line"))
	}
	for _, file := range r.Files {
		fmt.Fprintf(a.stderr, "  %s\n", file)
	}
	if hasKeys {
		fmt.Fprintf(a.stderr, "acknowledge with: dnc key sign NOTE --stage applied --key FILE > NOTE.ack, and dnc feed %s --ack NOTE.ack\n", r.Subscriber)
	} else {
		fmt.Fprintf(a.stderr, "acknowledge with: dnc subscriber ack %s --at %d@%s --stage applied\n", r.Subscriber, r.Revision, r.JournalID)
	}
}

// warnOfFeed says what a person should look at.
func (a *app) warnOfFeed(r feedReport) {
	if n := len(r.Unacknowledged); n > 0 {
		a.end(exitNo)
		fmt.Fprintf(a.stderr, "dnc: %s in the directory not acknowledged as durable or applied, the oldest %s: this one includes what they say\n", count(uint64(n), "earlier feed"), r.Unacknowledged[0])
		fmt.Fprintln(a.stderr, "hint: ask the base whether it applies its files, and hand in its acknowledgement")
	}
	if r.HoldsLost {
		a.end(exitNo)
		fmt.Fprintln(a.stderr, "dnc: the directory has feeds of what the server lost: this feed frees nothing, and the base keeps rows that the server no longer has")
		fmt.Fprintln(a.stderr, "hint: record on the server what only the base has, then move the notes of the other journal out of the directory")
	}
	for _, name := range r.InDoubt {
		fmt.Fprintf(a.stderr, "dnc: the server cannot read list %s: its numbers stay blocked; once it is loaded again, write a feed with --full\n", name)
	}
}
