package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/stage"
)

// stageRows stages rows in chunks of 2,500.
func stageRows(t testing.TB, s *Store, h RecordsHeader, rows []RecordRow) *RecordImport {
	t.Helper()
	i, err := s.BeginRecords(h)
	if err != nil {
		t.Fatal("begin import:", err)
	}
	for at, seq := 0, uint64(1); at < len(rows); at, seq = at+2500, seq+1 {
		if err := i.Put(RowChunk{Seq: seq, Rows: rows[at:min(at+2500, len(rows))]}); err != nil {
			t.Fatal("put:", err)
		}
	}
	return i
}

func noProgress(Progress) {}

func commitRows(t testing.TB, i *RecordImport, c RecordsCommit) RecordsResult {
	t.Helper()
	c.Chunks = i.LastChunk()
	r, err := i.Commit(context.Background(), c, noProgress)
	if err != nil {
		t.Fatal("commit:", err)
	}
	if r.Accepted+r.Duplicates+r.Rejected+r.Empty != r.Read {
		t.Errorf("%d accepted + %d duplicates + %d rejected + %d empty, not %d read", r.Accepted, r.Duplicates, r.Rejected, r.Empty, r.Read)
	}
	return r
}

func importRows(t testing.TB, s *Store, h RecordsHeader, rows []RecordRow) RecordsResult {
	t.Helper()
	i := stageRows(t, s, h, rows)
	defer i.Close()
	return commitRows(t, i, RecordsCommit{Read: uint64(len(rows))})
}

// held is every record in force with its story, without revisions and recorded_at.
func held(t testing.TB, s *Store) []NumberRecords {
	t.Helper()
	var all []NumberRecords
	for n, err := range s.View().Records(context.Background(), s.Now(), true, func(*RecordDetail) bool { return true }) {
		if err != nil {
			t.Fatal("records:", err)
		}
		for i := range n.Records {
			n.Records[i].ID, n.Records[i].RecordedAt = policy.EventID{}, time.Time{}
		}
		all = append(all, n)
	}
	return all
}

// withRepeats is rows with every tenth said again at the end.
func withRepeats(rows []RecordRow) []RecordRow {
	for i, n := 0, len(rows); i < n; i += 10 {
		rows = append(rows, rows[i])
	}
	return rows
}

func TestRecordImportAccountsForEveryRow(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	rows := withRepeats(bulkRows(0, 3000))
	tried := importRows(t, s, RecordsHeader{MaxRejects: 0.01, DryRun: true}, rows)
	if tried.Accepted != 3000 || tried.Duplicates != 300 || s.View().Revision() != 0 {
		t.Errorf("dry run: %+v at revision %d", tried, s.View().Revision())
	}
	first := importRows(t, s, RecordsHeader{MaxRejects: 0.01}, rows)
	if first.Accepted != 3000 || first.Duplicates != 300 || first.First != 1 || first.Last != s.View().Revision()-1 {
		t.Errorf("first time: %+v at revision %d", first, s.View().Revision())
	}
	for _, dry := range []bool{true, false} {
		again := importRows(t, s, RecordsHeader{MaxRejects: 0.01, DryRun: dry}, rows)
		if again.Accepted != 0 || again.Duplicates != 3300 || again.First != 0 || again.Last != 0 {
			t.Errorf("again, dry run %v: %+v", dry, again)
		}
	}
	if got := s.View().Revision(); got != first.Last+2 { // an event tells of each that was no dry run
		t.Errorf("revision %d after the last row's %d", got, first.Last)
	}
	if got := len(held(t, s)); got != 3000 {
		t.Errorf("%d numbers hold records, want 3000", got)
	}
}

// TestJournalTellsOfRecordImports looks for files, counts and who, beside the loads of lists and after a restart.
func TestJournalTellsOfRecordImports(t *testing.T) {
	t.Parallel()
	dir, rows := t.TempDir(), bulkRows(0, 90)
	s := open(t, dir)
	refused := stageRows(t, s, RecordsHeader{}, rows)
	commitRows(t, refused, RecordsCommit{Read: 100, Rejected: 10})
	refused.Close()
	i := stageRows(t, s, RecordsHeader{Override: true, Story: Story{RecordedBy: "ops", Proven: true}}, rows)
	r := commitRows(t, i, RecordsCommit{
		Read: 120, Rejected: 10, Empty: 20, FileRows: 60, Rejects: []RejectTally{{"not a number", 10}}, Sources: []Source{{Name: "crm.csv", SHA256: [32]byte{1}, Size: 7, Format: 3}},
	})
	i.Close()
	createList(t, s, "a", Settings{})
	load(t, s, "a", Replace, []uint64{14155550100}, Commit{})
	closeStore(t, s)
	s = open(t, dir)
	entries, err := s.View().Imports(policy.EventID{}, 0, 10)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries (%v), want a load of the list and the opt-outs: %+v", len(entries), err, entries)
	}
	got := entries[1]
	if got.StartedAt.IsZero() || got.EndedAt.Before(got.StartedAt) {
		t.Errorf("from %v to %v", got.StartedAt, got.EndedAt)
	}
	want := ImportEntry{
		ImportID: r.ImportID, Prepared: r.Last + 1, Ended: r.Last + 1, State: ImportRecorded, Mode: OptOuts,
		Sources: []Source{{Name: "crm.csv", SHA256: [32]byte{1}, Size: 7, Format: 3}}, Rejects: []RejectTally{{"not a number", 10}},
		Counts:     Counts{Read: 120, Accepted: 90, Rejected: 10, Empty: 20, Rows: 60},
		Overridden: []GuardFailure{{Guard: GuardRejects, Before: 100, After: 10, Overridden: true}},
		Story:      Story{RecordedBy: "ops", Proven: true},
		StartedAt:  got.StartedAt, EndedAt: got.EndedAt,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(ImportEntry{})); diff != "" {
		t.Errorf("the journal tells of the import (-want +got):\n%s", diff)
	}
	if of, err := s.View().Imports(listOf(t, s, "a").ID, 0, 10); err != nil || len(of) != 1 {
		t.Errorf("%d entries of the list (%v), want its load alone", len(of), err)
	}
}

// TestRecordImportIsToldOnce has the work come again from its beginning, as after a power cut that lost all that was
// noted of it but the rows, and that it had begun.
func TestRecordImportIsToldOnce(t *testing.T) {
	t.Parallel()
	dir, rows := t.TempDir(), bulkRows(0, 90)
	s := open(t, dir)
	i := stageRows(t, s, RecordsHeader{}, rows)
	stage := filepath.Join(dir, recordStageDir, i.ID())
	staged, err := os.ReadFile(filepath.Join(stage, rowsFile))
	if err != nil {
		t.Fatal(err)
	}
	order := recordOrder{RecordsCommit: RecordsCommit{Chunks: 1, Read: 90}, Rows: 90, Started: i.started}
	r := commitRows(t, i, order.RecordsCommit)
	i.Close()
	closeStore(t, s)
	err = errors.Join(os.Remove(filepath.Join(stage, resultFile)), os.WriteFile(filepath.Join(stage, rowsFile), staged, 0o600),
		os.WriteFile(filepath.Join(stage, progressFile), nil, 0o600), disk.WriteJSON(filepath.Join(stage, commitFile), order))
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if i, err = s.BeginRecords(RecordsHeader{ImportID: i.ID()}); err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	again := commitRows(t, i, RecordsCommit{})
	if again.Accepted != r.Accepted || again.Last != r.Last || s.View().Revision() != r.Last+1 {
		t.Errorf("after the cut %+v at revision %d, before %+v", again, s.View().Revision(), r)
	}
	if entries, err := s.View().Imports(policy.EventID{}, 0, 10); err != nil || len(entries) != 1 {
		t.Errorf("%d entries (%v), want one", len(entries), err)
	}
}

func TestRecordImportGuards(t *testing.T) {
	t.Parallel()
	rows := bulkRows(0, 90)
	for _, c := range []struct {
		name     string
		h        RecordsHeader
		rows     []RecordRow
		rejected uint64
		cut      uint32
		refused  bool
		failures int
	}{
		{"within the limit", RecordsHeader{MaxRejects: 0.1}, rows, 10, 0, false, 0},
		{"beyond it", RecordsHeader{MaxRejects: 0.09}, rows, 10, 0, true, 1},
		{"overridden", RecordsHeader{MaxRejects: 0.09, Override: true}, rows, 10, 0, false, 1},
		{"a file cut off", RecordsHeader{MaxRejects: 0.1}, rows, 10, 1, true, 1},
		{"a file cut off, and beyond the limit", RecordsHeader{MaxRejects: 0.09}, rows, 10, 1, true, 2},
		{"both overridden", RecordsHeader{MaxRejects: 0.09, Override: true}, rows, 10, 1, false, 2},
		{"nothing but rejects", RecordsHeader{MaxRejects: 1, Override: true}, nil, 10, 0, true, 1},
		{"an empty file", RecordsHeader{}, nil, 0, 0, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			i := stageRows(t, s, c.h, c.rows)
			defer i.Close()
			r := commitRows(t, i, RecordsCommit{Read: uint64(len(c.rows)) + c.rejected, Rejected: c.rejected, CutFiles: c.cut})
			if r.Refused != c.refused || len(r.GuardFailures) != c.failures || r.Rejected != c.rejected {
				t.Errorf("result %+v", r)
			}
			if recorded := len(held(t, s)) > 0; recorded == (c.refused || len(c.rows) == 0) {
				t.Errorf("rows recorded: %v", recorded)
			}
		})
	}
}

func TestRecordImportThatDoesNotAddUpIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	i := stageRows(t, s, RecordsHeader{}, bulkRows(0, 10))
	defer i.Close()
	for _, c := range []struct {
		commit RecordsCommit
		want   error
	}{
		{RecordsCommit{Chunks: 2, Read: 10}, ErrChunksMissing},
		{RecordsCommit{Chunks: 1, Read: 11}, ErrCounts},
		{RecordsCommit{Chunks: 1, Read: 9, Rejected: ^uint64(0)}, ErrCounts},
		{RecordsCommit{Chunks: 1, Read: 9, Empty: ^uint64(0)}, ErrCounts},
		{RecordsCommit{Chunks: 1, Read: 10, Rejected: 1 << 63, Empty: 1 << 63}, ErrCounts},
		{RecordsCommit{Chunks: 1, Read: 10, FileRows: 11}, ErrCounts},
	} {
		if _, err := i.Commit(context.Background(), c.commit, noProgress); !errors.Is(err, c.want) {
			t.Errorf("commit %+v: %v, want %v", c.commit, err, c.want)
		}
	}
	if err := i.Put(RowChunk{Seq: 3}); !errors.Is(err, ErrChunkOrder) {
		t.Errorf("a chunk out of order: %v", err)
	}
	if err := i.Put(RowChunk{Seq: 1}); err != nil {
		t.Errorf("a chunk again: %v", err)
	}
}

func TestRecordImportGoesOnAfterAChunk(t *testing.T) {
	t.Parallel()
	dir, rows := t.TempDir(), bulkRows(0, 5000)
	s := open(t, dir)
	i := stageRows(t, s, RecordsHeader{}, rows[:2500])
	id := i.ID()
	if _, err := s.BeginRecords(RecordsHeader{ImportID: id}); !errors.Is(err, ErrImportRunning) {
		t.Errorf("opened twice: %v", err)
	}
	i.Close()
	closeStore(t, s)
	torn, err := os.OpenFile(filepath.Join(dir, recordStageDir, id, rowsFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := torn.Write([]byte{200, 0, 0, 0, 1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	torn.Close()
	s = open(t, dir)
	if i, err = s.BeginRecords(RecordsHeader{ImportID: id}); err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if i.LastChunk() != 1 || i.Committed() {
		t.Fatalf("last chunk %d, committed %v, want 1 and false", i.LastChunk(), i.Committed())
	}
	if err := i.Put(RowChunk{Seq: 2, Rows: rows[2500:]}); err != nil {
		t.Fatal(err)
	}
	if r := commitRows(t, i, RecordsCommit{Read: 5000}); r.Accepted != 5000 {
		t.Errorf("%+v", r)
	}
	if _, err := s.BeginRecords(RecordsHeader{ImportID: "0123456789abcdef01234567"}); !errors.Is(err, ErrImportNotFound) {
		t.Errorf("an unknown import: %v", err)
	}
}

// TestRecordImportEndsAfterARestart closes the store in the middle of the work, several times: it goes on by itself,
// counts each row once, and leaves no row behind in the stage.
func TestRecordImportEndsAfterARestart(t *testing.T) {
	t.Parallel()
	optOuts := withRepeats(bulkRows(0, 20*batchRows))
	consents := slices.Clone(optOuts)
	for i := range consents {
		consents[i].Consent = &policy.Consent{Kind: policy.Permission, Form: policy.Written}
	}
	t.Run("opt-outs", func(t *testing.T) { restartImport(t, RecordsHeader{}, optOuts) })
	t.Run("consents", func(t *testing.T) { restartImport(t, RecordsHeader{Consents: true}, consents) })
}

// restartImport closes a store again and again while it records rows: each of them is there in the end, once.
func restartImport(t *testing.T, header RecordsHeader, rows []RecordRow) {
	t.Parallel()
	calm := open(t, t.TempDir())
	undisturbed := importRows(t, calm, header, rows)
	dir := t.TempDir()
	s := open(t, dir)
	i := stageRows(t, s, header, rows)
	id := i.ID()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	gone := make(chan error, 1)
	go func() {
		_, err := i.Commit(ctx, RecordsCommit{Chunks: i.LastChunk(), Read: uint64(len(rows))}, noProgress)
		gone <- err
	}()
	for round := range 4 {
		awaitRevision(t, s, uint64(4*round+2))
		if round == 0 {
			cancel()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Errorf("commit of a caller that went: %v", err)
			}
			i.Close()
		}
		closeStore(t, s)
		if round%2 == 1 { // as if the machine had lost what was not synced
			dropLastLine(t, filepath.Join(dir, recordStageDir, id, progressFile))
		}
		s = open(t, dir)
	}
	i, err := s.BeginRecords(RecordsHeader{ImportID: id, Consents: header.Consents})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if !i.Committed() {
		t.Error("the import is not known as committed")
	}
	r := commitRows(t, i, RecordsCommit{})
	if r.Accepted != undisturbed.Accepted || r.Duplicates != undisturbed.Duplicates || r.First != 1 {
		t.Errorf("%d accepted, %d duplicates from revision %d, undisturbed %d, %d, %d",
			r.Accepted, r.Duplicates, r.First, undisturbed.Accepted, undisturbed.Duplicates, undisturbed.First)
	}
	if diff := cmp.Diff(held(t, calm), held(t, s)); diff != "" {
		t.Errorf("records differ from an undisturbed import (-want +got):\n%s", diff)
	}
	if again := commitRows(t, i, RecordsCommit{}); again.Accepted != r.Accepted || again.Last != r.Last {
		t.Errorf("asked again: %+v, want %+v", again, r)
	}
	if _, err := os.Stat(filepath.Join(dir, recordStageDir, id, commitFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stage is still there: %v", err)
	}
}

func awaitRevision(t testing.TB, s *Store, revision uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.Wait(ctx, revision); err != nil {
		t.Fatalf("revision %d does not come: %v", revision, err)
	}
}

func dropLastLine(t testing.TB, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b[:len(b)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRowsOfAKilledProcessOutliveAPowerCut copies the disk, without any sync, once a chunk that nobody synced was counted.
func TestRowsOfAKilledProcessOutliveAPowerCut(t *testing.T) {
	t.Parallel()
	needsLoopMounts(t)
	s := open(t, t.TempDir())
	i := stageRows(t, s, RecordsHeader{}, bulkRows(0, 100))
	defer i.Close()
	written, err := os.ReadFile(filepath.Join(i.dir, rowsFile))
	if err != nil {
		t.Fatal(err)
	}
	image, disk, after := filepath.Join(t.TempDir(), "image"), t.TempDir(), t.TempDir()
	makeImage(t, image, 16<<20)
	if err := mount(t, disk, "-o", "loop", image); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(disk, rowsFile), written, 0o600); err != nil {
		t.Fatal(err)
	}
	if rows := rowsIn(t, filepath.Join(disk, rowsFile)); rows != 100 {
		t.Fatalf("%d rows before the power cut, want 100", rows)
	}
	if err := copySparse(image, image+"-cut"); err != nil {
		t.Fatal(err)
	}
	if err := mount(t, after, "-o", "loop", image+"-cut"); err != nil {
		t.Fatal(err)
	}
	if rows := rowsIn(t, filepath.Join(after, rowsFile)); rows != 100 {
		t.Errorf("%d rows after the power cut, want the 100 that were counted", rows)
	}
}

// rowsIn opens a log and counts its rows.
func rowsIn(t *testing.T, path string) uint64 {
	t.Helper()
	l, err := stage.Continue(path, recordStages.codec())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Entries
}

// TestRowsThatAreMissingAreNoEnd cuts the log where a frame ends, behind the back of whoever has it open.
func TestRowsThatAreMissingAreNoEnd(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	i := stageRows(t, s, RecordsHeader{MaxRejects: 0.01}, bulkRows(0, 2500))
	defer i.Close()
	first := i.log.Size
	if err := i.Put(RowChunk{Seq: 2, Rows: bulkRows(2500, 10)}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(i.dir, rowsFile), first); err != nil {
		t.Fatal(err)
	}
	rows, end := 0, error(nil)
	for c, err := range i.log.Chunks() {
		rows, end = rows+len(c.Rows), err
	}
	if !errors.Is(end, ErrStage) || rows != 2500 {
		t.Errorf("%d rows of 2510: %v, want 2500 and ErrStage", rows, end)
	}
}

// TestDamagedCommittedRowsAreKept flips a byte of a committed import while its store is closed.
func TestDamagedCommittedRowsAreKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	i := stageRows(t, s, RecordsHeader{}, bulkRows(0, 5000))
	order := recordOrder{RecordsCommit: RecordsCommit{Chunks: 2, Read: 5000}, Rows: 5000}
	if err := disk.WriteJSON(filepath.Join(i.dir, commitFile), order); err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile(filepath.Join(i.dir, rowsFile))
	if err != nil {
		t.Fatal(err)
	}
	rows[len(rows)/4] ^= 1
	i.Close()
	closeStore(t, s)
	if err := os.WriteFile(filepath.Join(i.dir, rowsFile), rows, 0o600); err != nil {
		t.Fatal(err)
	}

	o := testOptions()
	var log bytes.Buffer
	o.Logger, o.StageTTL = slog.New(slog.NewTextHandler(&log, nil)), time.Nanosecond
	s = openWith(t, dir, o)
	kept := i.dir + damagedSuffix
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(kept); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not come", kept)
		}
	}
	s.sweepRecordStages()
	s.sweepRecordStages()
	for _, id := range []string{i.ID(), i.ID() + damagedSuffix} {
		if _, err := s.BeginRecords(RecordsHeader{ImportID: id}); !errors.Is(err, ErrImportNotFound) {
			t.Errorf("import %s: %v, want ErrImportNotFound", id, err)
		}
	}
	closeStore(t, s)
	if got, err := os.ReadFile(filepath.Join(kept, rowsFile)); err != nil || !bytes.Equal(got, rows) {
		t.Errorf("%d bytes (%v), want the %d that were there", len(got), err, len(rows))
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), kept) {
		t.Errorf("%d errors, want one that tells of %s:\n%s", n, kept, &log)
	}
}

func TestRecordStagesAreSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := testOptions()
	o.StageTTL = time.Hour
	s := openWith(t, dir, o)
	i := stageRows(t, s, RecordsHeader{}, bulkRows(0, 10))
	stage := filepath.Join(dir, recordStageDir, i.ID())
	age := func(by time.Duration) {
		old := time.Now().Add(-by)
		for _, path := range []string{filepath.Join(stage, rowsFile), stage} {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
		s.sweepRecordStages()
	}
	age(2 * time.Hour)
	if _, err := os.Stat(stage); err != nil {
		t.Errorf("a stage in use: %v", err)
	}
	i.Close()
	age(0)
	if _, err := os.Stat(stage); err != nil {
		t.Errorf("a young stage: %v", err)
	}
	age(2 * time.Hour)
	if _, err := os.Stat(stage); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an old stage is still there: %v", err)
	}
}

// Rows that an accepted loss took away are recorded again: what was counted of them is of the journal before.
func TestRecordImportAfterAnAcceptedLoss(t *testing.T) {
	t.Parallel()
	rows := bulkRows(0, 4*batchRows)
	dir := t.TempDir()
	o := testOptions()
	o.faults = func(at step, write func() error) error {
		if err := write(); err != nil || at != stepRowsCommit {
			return err
		}
		return errors.New("the order is there, and nobody heard of it")
	}
	s := openWith(t, dir, o)
	recordStory(t, s, fiction(415, 0))
	i := stageRows(t, s, RecordsHeader{}, rows)
	id := i.ID()
	if _, err := i.Commit(context.Background(), RecordsCommit{Chunks: i.LastChunk(), Read: uint64(len(rows))}, noProgress); err == nil {
		t.Fatal("the commit did not fail")
	}
	i.Close()
	counted := recordCounts{Rows: uint64(len(rows)), Accepted: uint64(len(rows)), Journal: s.View().JournalID()}
	closeStore(t, s)
	line, err := json.Marshal(counted) // as if the revisions that held the rows were lost
	err = errors.Join(err,
		os.WriteFile(filepath.Join(dir, recordStageDir, id, progressFile), append(line, '\n'), 0o600),
		os.Remove(filepath.Join(dir, journal.MarkName)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(context.Background(), dir, true, testOptions()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if i, err = s.BeginRecords(RecordsHeader{ImportID: id}); err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if r := commitRows(t, i, RecordsCommit{}); r.Accepted != uint64(len(rows)) {
		t.Errorf("got %+v, want all rows accepted", r)
	}
	for _, row := range rows {
		wantVerdict(t, s, row.Number, row.Scope, policy.Block, policy.CauseNone)
	}
}

// An order to record rows that may not be on disk would be lost rows that were promised.
func TestRowsAreDurableBeforeTheirOrder(t *testing.T) {
	t.Parallel()
	o, failed := testOptions(), errors.New("the disk does not sync")
	o.faults = func(at step, write func() error) error {
		if at == stepChunkSync {
			return failed
		}
		return write()
	}
	s := openWith(t, t.TempDir(), o)
	i := stageRows(t, s, RecordsHeader{}, bulkRows(0, 10))
	defer i.Close()
	_, err := i.Commit(context.Background(), RecordsCommit{Chunks: 1, Read: 10}, noProgress)
	if !errors.Is(err, failed) || i.Committed() {
		t.Errorf("committed %v (%v), want the error of the sync", i.Committed(), err)
	}
}
