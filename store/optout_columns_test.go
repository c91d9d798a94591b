package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
	"github.com/dncd/dncd/store/internal/stories"
)

// rowsAsEvents are the events that columns of rows must be read back as.
func rowsAsEvents(rows []RecordRow, told []stories.Ref) (events []*storev1.Event) {
	for i := range rows {
		m := rows[i].message()
		m.Unique = true
		events = append(events, &storev1.Event{
			Row: true, StoryHash: told[i].Sealed.Hash(), Story: told[i].Place, Change: &storev1.Event_OptOut{OptOut: m},
		})
	}
	return events
}

func drawRow(r *rapid.T) RecordRow {
	at := rapid.SampledFrom([]time.Time{{}, day(1), day(2).Add(time.Nanosecond), time.Unix(0, 1), time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)})
	word := rapid.SampledFrom([]string{"", "a", "b"})
	return RecordRow{
		OptOut: OptOut{
			Number: drawNumber(r), Scope: drawScope(r), Channel: policy.Channel(rapid.IntRange(0, 3).Draw(r, "channel")),
			ReceivedAt: at.Draw(r, "received"), ExpiresAt: at.Draw(r, "expires"),
		},
		Story: Story{
			Desk: word.Draw(r, "desk"), Evidence: word.Draw(r, "evidence"), RecordedBy: word.Draw(r, "who"),
			Proven: rapid.Bool().Draw(r, "proven"), ChannelText: word.Draw(r, "in words"),
		},
	}
}

// Rows written as columns are read as one event a row, at the places that their ids name, whatever lies around them.
func TestColumnsAreReadAsRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		rev := &storev1.Revision{Time: 1}
		var want []*storev1.Event
		for range rapid.IntRange(0, 4).Draw(r, "events") {
			if rapid.Bool().Draw(r, "single") {
				rev.Events = append(rev.Events, withdrawEvent(OptOut{Number: drawNumber(r)}))
				want = append(want, rev.Events[len(rev.Events)-1])
				continue
			}
			rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 80).Draw(r, "rows")
			columns, packer := newOptOutColumns(len(rows)), stories.NewPacker()
			told := make([]stories.Ref, len(rows))
			for i := range rows {
				told[i] = packer.Add(rows[i].Story)
				columns.add(&rows[i].OptOut, told[i])
			}
			packer.End()
			rev.Events = append(rev.Events, columns.event())
			want = append(want, rowsAsEvents(rows, told)...)
		}
		body, err := proto.Marshal(rev)
		if err != nil {
			r.Fatal(err)
		}
		got, err := (&journal.Entry{Body: body}).Decode()
		if err != nil || !proto.Equal(got, &storev1.Revision{Time: 1, Events: want}) {
			r.Fatalf("got %v, %v; want %v", got, err, want)
		}
	})
}

// Columns that do not fit together are damage, and nothing worse.
func TestColumnsThatDoNotFitAreDamage(t *testing.T) {
	t.Parallel()
	good := func() *storev1.OptOuts {
		return &storev1.OptOuts{
			Numbers: []uint64{1, 2}, Kinds: []*storev1.OptOutKind{{}}, Kind: []uint32{0, 0}, ReceivedAt: []int64{1, 2}, ExpiresAt: []int64{1, 2},
			StoryHashes: [][]byte{{1}}, StoryHash: []uint32{0, 1}, Story: []uint32{0, 1},
		}
	}
	for name, harm := range map[string]func(*storev1.OptOuts){
		"whole":               func(*storev1.OptOuts) {},
		"no kind":             func(m *storev1.OptOuts) { m.Kinds = nil },
		"another kind":        func(m *storev1.OptOuts) { m.Kind[1] = 1 },
		"kinds too short":     func(m *storev1.OptOuts) { m.Kind = m.Kind[:1] },
		"kinds too long":      func(m *storev1.OptOuts) { m.Kind = append(m.Kind, 0) },
		"received too short":  func(m *storev1.OptOuts) { m.ReceivedAt = m.ReceivedAt[:1] },
		"expires too short":   func(m *storev1.OptOuts) { m.ExpiresAt = m.ExpiresAt[:1] },
		"hashes too short":    func(m *storev1.OptOuts) { m.StoryHash = m.StoryHash[:1] },
		"another hash":        func(m *storev1.OptOuts) { m.StoryHash[1] = 2 },
		"a place past any":    func(m *storev1.OptOuts) { m.StoryHash[1] = 1<<32 - 1 },
		"stories too short":   func(m *storev1.OptOuts) { m.Story = m.Story[:1] },
		"more rows than rest": func(m *storev1.OptOuts) { m.Numbers = append(m.Numbers, 3) },
	} {
		m := good()
		harm(m)
		body, err := proto.Marshal(&storev1.Revision{Events: []*storev1.Event{{Change: &storev1.Event_OptOuts{OptOuts: m}}}})
		must(t, err)
		if _, err := (&journal.Entry{Revision: 7, Body: body}).Decode(); errors.Is(err, ErrDamaged) == (name == "whole") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// An event of a kind that a later version added may be an objection: a version that does not know it has doubt.
func TestEventOfALaterVersionIsDoubt(t *testing.T) {
	t.Parallel()
	var later []byte
	later = protowire.AppendBytes(protowire.AppendTag(later, 1000, protowire.BytesType), []byte("who knows"))
	body := journal.AppendEvent(journal.NewBody(1, 0), later)
	if rev, err := (&journal.Entry{Revision: 7, Body: body}).Decode(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "later version") {
		t.Errorf("got %v, %v; want doubt, and the later version named", rev, err)
	}
}

func FuzzRevision(f *testing.F) {
	columns, packer := newOptOutColumns(0), stories.NewPacker()
	for _, r := range bulkRows(0, 40) {
		columns.add(&r.OptOut, packer.Add(r.Story))
	}
	packer.End()
	body, err := proto.Marshal(&storev1.Revision{Events: []*storev1.Event{columns.event()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, body []byte) {
		rev, err := (&journal.Entry{Body: body}).Decode()
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		for i, e := range rev.GetEvents() {
			if e.GetOptOuts() != nil {
				t.Fatalf("event %d is columns still", i)
			}
		}
	})
}

// historyOf tells the history of a number, and checks that it can be read in pages of one.
func historyOf(t *testing.T, v *View, o OptOut) (told []string) {
	t.Helper()
	all, more, err := v.History(o.Number, policy.EventID{}, 1000)
	if err != nil || more {
		t.Fatalf("history: %v, more: %v", err, more)
	}
	after := policy.EventID{}
	for i, e := range all {
		told = append(told, fmt.Sprintf("%d.%d kind %d %s ended %d", e.ID.Revision, e.ID.Index, e.Kind, e.Scope, len(e.Ended)))
		page, more, err := v.History(o.Number, after, 1)
		if err != nil || len(page) != 1 || page[0].ID != e.ID || more != (i < len(all)-1) {
			t.Errorf("page %d: %+v, more: %v, %v; want event %v", i, page, more, err, e.ID)
		}
		after = e.ID
	}
	return told
}

// historyRows are rows of four numbers.
func historyRows() (rows []RecordRow) {
	for i := range 4 {
		rows = append(rows, row(fiction(415, i), "acme", policy.ChannelCall, day(1)))
	}
	rows[2].ExpiresAt = day(7)
	return rows
}

// writeRowHistories makes an empty store record historyRows and what leaves three of the numbers without theirs, from day 6
// on.
func writeRowHistories(t *testing.T, s *Store, clock *testClock) {
	t.Helper()
	rows := historyRows()
	recordAll(t, s, rows)
	withdraw := func(o OptOut) {
		_, err := s.WithdrawOptOut(context.Background(), o.Number, o.Scope, Request{Story: Story{Reason: "asked"}})
		must(t, err)
	}
	withdraw(rows[1].OptOut)
	clock.set(day(8)) // the third has expired
	recordAll(t, s, []RecordRow{rows[1], row(rows[2].Number, "acme", policy.ChannelEmail, day(2)), row(rows[3].Number, "other", 0, day(1))})
	optOut(t, s, rows[3].Number, "acme")
	withdraw(rows[3].OptOut) // two at once
}

// rowHistories are the histories of historyRows then.
func rowHistories() map[OptOut][]string {
	rows := historyRows()
	return map[OptOut][]string{
		rows[0].OptOut: {"1.0 kind 1 acme ended 0"},
		rows[1].OptOut: {"1.1 kind 1 acme ended 0", "2.0 kind 2 acme ended 1", "3.0 kind 1 acme ended 0"},
		rows[2].OptOut: {"1.2 kind 1 acme ended 0", "3.1 kind 1 acme ended 0"},
		rows[3].OptOut: {"1.3 kind 1 acme ended 0", "3.2 kind 1 other ended 0", "4.0 kind 1 acme ended 0", "5.0 kind 2 acme ended 2"},
	}
}

func wantHistories(t *testing.T, v *View, histories map[OptOut][]string) {
	t.Helper()
	for o, want := range histories {
		if got := historyOf(t, v, o); !slices.Equal(got, want) {
			t.Errorf("history at revision %d: got %q, want %q", v.Revision(), got, want)
		}
	}
}

// A row has an id of its own in its number's history, as of every revision, also after its record is gone and after a
// repair that builds all from the journal. Only then it has a key there.
func TestHistoryOfRows(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(6))
	s := openAt(t, dir, clock)
	writeRowHistories(t, s, clock)
	histories := rowHistories()
	wantHistories(t, s.View(), histories)
	if got := len(keysOf(t, s, keys.KindHistory)); got != 6 {
		t.Errorf("%d keys of history, want 6: three events that are no rows, and three rows that are gone", got)
	}
	for revision := uint64(1); revision < 5; revision++ {
		v, err := s.ViewAt(revision)
		must(t, err)
		then := map[OptOut][]string{}
		for o, events := range histories {
			then[o] = slices.DeleteFunc(slices.Clone(events), func(e string) bool { return e > fmt.Sprint(revision+1) })
		}
		wantHistories(t, v, then)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() || r.Events != 10 {
		t.Errorf("fsck: %d events, %v; want 10 and no problem", r.Events, r.Problems)
	}
	must(t, os.Truncate(filepath.Join(dir, journal.MarkName), markBytes/2))
	if _, err := Repair(context.Background(), dir, true, testOptions()); err != nil {
		t.Fatal("repair:", err)
	}
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck after a repair: %v", r.Problems)
	}
	wantHistories(t, openAt(t, dir, clock).View(), histories)
}

// fsck misses a row that its number does not hold, and one that has no place in its number's history.
func TestFsckFindsRowsThatAreNotInTheState(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm func(*storev1.RecordSet)
		want string
	}{
		"no record":     {func(set *storev1.RecordSet) { set.Records = nil }, "missing in its number's history"},
		"no place":      {func(set *storev1.RecordSet) { set.Records[0].Row = false }, "missing in its number's history"},
		"another event": {func(set *storev1.RecordSet) { set.Records[0].Index++ }, "missing in its number's history"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			r := row(fiction(415, 1), "acme", policy.ChannelCall, day(1))
			recordAll(t, s, []RecordRow{r, row(fiction(415, 2), "acme", policy.ChannelCall, day(1))})
			set, err := s.View().recordSet(r.Number)
			must(t, err)
			c.harm(set)
			b, err := proto.Marshal(set)
			must(t, err)
			key := keys.Records(uint64(r.Number))
			closeStore(t, s)
			setRaw(t, dir, key, seal.Value(key, b), 1)
			if r := mustFsck(t, dir); len(r.Problems) != 1 || !strings.Contains(r.Problems[0], c.want) {
				t.Errorf("fsck: %q, want one problem: %s", r.Problems, c.want)
			}
		})
	}
}

// setRaw writes a value into the database of a store that is closed.
func setRaw(t *testing.T, dir string, key, value []byte, revision uint64) {
	t.Helper()
	db, err := badger.OpenManaged(badgerdir.Options(filepath.Join(dir, badgerDir), testOptions().withDefaults().Logger))
	must(t, err)
	txn := db.NewTransactionAt(revision, true)
	defer txn.Discard()
	must(t, txn.Set(key, value))
	must(t, errors.Join(txn.CommitAt(revision, nil), db.Close()))
}

// A batch that has more bytes than a revision takes is split, and what is written in between counts for the rest.
func TestBatchIsSplitWhereARevisionIsFull(t *testing.T) {
	t.Parallel()
	const count = 300
	s := open(t, t.TempDir())
	rows := bulkRows(0, count)
	for i := range rows {
		rows[i].Story.Note = strings.Repeat("n", 4<<10)
	}
	outcomes := recordAll(t, s, rows)
	revisions := map[uint64]int{}
	for i, o := range outcomes {
		if o.Err != nil || o.Duplicate || int(o.ID.Index) != revisions[o.ID.Revision] {
			t.Fatalf("row %d: %+v, want index %d", i, o, revisions[o.ID.Revision])
		}
		revisions[o.ID.Revision]++
	}
	if got := s.View().Revision(); got < 3 || len(revisions) != int(got) {
		t.Errorf("%d revisions, %d of them with rows; want at least 3 of %d KiB each", got, len(revisions), maxRevision>>10)
	}
	wantStories(t, s, rows, allPresent)
}

// Rows whose numbers hold many rows that have expired are taken a few at a time: each of those gets a key of history, and a
// transaction has room for so many.
func TestRowsThatEndManyAreTakenInParts(t *testing.T) {
	t.Parallel()
	const numbers, each = 30, 100
	dir, clock := t.TempDir(), clockAt(day(1))
	s := openAt(t, dir, clock)
	var rows, again []RecordRow
	for i := range each {
		for n := range numbers {
			r := row(fiction(415, n), "acme", policy.ChannelCall, day(1))
			r.ExpiresAt = day(2).Add(time.Duration(i)) // later than those before, or it would be a duplicate
			rows = append(rows, r)
		}
	}
	recordAll(t, s, rows)
	for n := range numbers {
		again = append(again, row(fiction(415, n), "acme", policy.ChannelCall, day(1)))
	}
	clock.set(day(3))
	g, b := s.newGroup(), newBatch(context.Background(), again)
	must(t, g.takeRows(&pendingEvent{ctx: context.Background(), batch: b}))
	g.txn.Discard()
	if most := maxGroupBytes / (each * rowBytes); b.next == 0 || b.next > most {
		t.Errorf("%d rows were taken at once, each of which ends %d: want at most %d", b.next, each, most)
	}
	for _, o := range recordAll(t, s, again) {
		if o.Err != nil || o.Duplicate {
			t.Fatalf("a row of a number whose rows have expired: %+v", o)
		}
	}
	if got := len(keysOf(t, s, keys.KindHistory)); got != numbers*each {
		t.Errorf("%d keys of history, want %d", got, numbers*each)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
}

// A row that was found held before the committer stays a duplicate as of then; the rows after it are judged by what the
// committer finds.
func TestRowsOfOneNumberAreJudgedInOrder(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	optOut(t, s, n, "acme")
	rows := []RecordRow{row(n, "acme", 0, time.Time{}), row(n, "acme", 0, day(1)), row(fiction(415, 2), "acme", 0, time.Time{})}
	b := newBatch(context.Background(), rows)
	s.View().findHeld(b)
	if got := duplicates(b.outcomes); !slices.Equal(got, []bool{true, false, false}) {
		t.Errorf("known before the committer: %v, want the first alone", got)
	}
	_, err := s.WithdrawOptOut(context.Background(), n, "acme", Request{})
	must(t, err)
	must(t, s.submitBatch(context.Background(), b))
	must(t, s.await(context.Background(), b))
	outcomes, err := b.results()
	if got := duplicates(outcomes); err != nil || !slices.Equal(got, []bool{true, false, false}) || outcomes[0].ID != state.EventID(1, 0) {
		t.Errorf("got %+v, %v; want the first a duplicate of event 0 of revision 1", outcomes, err)
	}
	wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
}

// drawSaid is drawRow with so few words and times that two of them often say the same.
func drawSaid(r *rapid.T) RecordRow {
	at := rapid.SampledFrom([]time.Time{{}, day(1), day(2).Add(time.Nanosecond), day(3)})
	row := drawRow(r)
	row.Scope, row.Channel = rapid.SampledFrom([]policy.Scope{"", "acme"}).Draw(r, "scope"), policy.ChannelCall
	row.ReceivedAt, row.ExpiresAt = rapid.SampledFrom([]time.Time{{}, day(1)}).Draw(r, "received"), at.Draw(r, "expires")
	return row
}

// What is found before the committer is what the committer would find, whatever a number holds.
func TestHeldIsFoundAsTheCommitterFindsIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		a := &apply.Applier{Time: day(2).UnixNano(), Ahead: int64(rapid.IntRange(0, 2).Draw(r, "ahead"))}
		set := new(storev1.RecordSet)
		for i, row := range rapid.SliceOfN(rapid.Custom(drawSaid), 0, 5).Draw(r, "held") {
			record := a.Record(state.EventID(3, i), row.message(), apply.StoryRef{Hash: noHash[:], Place: uint32(i), OfRow: true})
			record.Kind += uint32(max(0, rapid.IntRange(-3, 1).Draw(r, "another kind")))
			set.Records = append(set.Records, record)
		}
		body, err := proto.Marshal(set)
		if err != nil {
			r.Fatal(err)
		}
		row := drawSaid(r)
		f := state.HeldFinder{Now: a.Time - a.Ahead}
		setOptOut(&f, &row.OptOut)
		got, err := f.Find(body)
		var want policy.EventID
		inForce := &storev1.RecordSet{Records: slices.DeleteFunc(slices.Clone(set.GetRecords()), func(r *storev1.Record) bool {
			return r.GetExpiresAt() != 0 && a.Time-a.Ahead >= r.GetExpiresAt()
		})}
		if held := state.HeldBy(inForce, row.message()); held != nil {
			want = state.RecordID(held)
		}
		if err != nil || got != want {
			r.Fatalf("got %v, %v; want %v among %v for %v", got, err, want, set, row.message())
		}
		if len(body) > 0 {
			if _, err := f.Find(body[:len(body)-1]); err == nil && got == (policy.EventID{}) {
				r.Fatalf("a set that is cut: no error, and nothing found")
			}
		}
	})
}

// What is encoded by hand reads as what the messages are.
func TestBytesOfRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		row := drawRow(r)
		staged := new(storev1.StagedOptOuts)
		if err := proto.Unmarshal(appendRows(nil, []RecordRow{row, row}), staged); err != nil {
			r.Fatal(err)
		}
		story := new(storev1.Story)
		if err := proto.Unmarshal(stories.Append(nil, row.Story), story); err != nil {
			r.Fatal(err)
		}
		m := &storev1.StagedOptOuts{
			OptOuts: []*storev1.OptOut{row.message(), row.message()}, Stories: []*storev1.Story{story, story},
		}
		if !proto.Equal(staged, m) {
			r.Fatalf("staged: got %v, want %v", staged, m)
		}
	})
}
