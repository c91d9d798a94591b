package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/state"
)

// bodyOf is the bytes of a revision.
func bodyOf(t *testing.T, s *Store, revision uint64) []byte {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	e, err := journal.Read(txn, revision)
	must(t, err)
	return e.Body
}

// harmTable changes a byte of a table, where it holds these.
func harmTable(t *testing.T, dir string, bytesOfIt []byte) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, badgerDir, "*.sst"))
	must(t, err)
	for _, path := range tables {
		b := readFile(t, path)
		if at := bytes.Index(b, bytesOfIt); at >= 0 {
			b[at] ^= 1
			must(t, os.WriteFile(path, b, 0o600))
			return
		}
	}
	t.Fatal("no table holds the bytes")
}

// Rows of a revision that is lost for good stay in force where their records are left, and stand in no history: neither
// while their number holds them nor later.
func TestRowsOfALostRevisionHaveNoHistory(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), fiction(415, 1)
	s := open(t, dir)
	recordAll(t, s, []RecordRow{row(n, "acme", policy.ChannelCall, day(1))})
	lost := append(bulkRows(0, batchRows-1), row(n, "other", policy.ChannelCall, day(1)))
	recordAll(t, s, lost)
	recordAll(t, s, []RecordRow{row(n, "third", policy.ChannelCall, day(1))})
	body := bodyOf(t, s, 2)
	closeStore(t, s)
	harmTable(t, dir, body[len(body)/2:])
	r, err := Repair(context.Background(), dir, true, testOptions())
	if err != nil || len(r.Lost) != 1 || r.Lost[0] != (Gap{From: 2, To: 2}) {
		t.Fatalf("repair: lost %v, %v; want revision 2", r.Lost, err)
	}
	s = open(t, dir)
	for _, r := range lost {
		if got := historyOf(t, s.View(), OptOut{Number: r.Number}); r.Number != n && len(got) > 0 {
			t.Fatalf("the history of a lost row: %q", got)
		}
	}
	want := []string{"1.0 kind 1 acme ended 0", "3.0 kind 1 third ended 0"}
	wantVerdict(t, s, n, "other", policy.Block, policy.CauseNone)
	wantHistories(t, s.View(), map[OptOut][]string{{Number: n}: want})
	for _, scope := range []policy.Scope{"other", "third"} {
		_, err := s.WithdrawOptOut(context.Background(), n, scope, Request{})
		must(t, err)
		want = append(want, fmt.Sprintf("%d.0 kind 2 %s ended 1", s.View().Revision(), scope))
	}
	wantHistories(t, s.View(), map[OptOut][]string{{Number: n}: want})
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
}

// A row that a lost revision ended stays in its number's history, though no record stands for it any more.
func TestRowThatALostRevisionEndedKeepsItsHistory(t *testing.T) {
	t.Parallel()
	dir, n := t.TempDir(), fiction(415, 1)
	s := open(t, dir)
	o := OptOut{Number: n, Scope: "acme"}
	recordAll(t, s, []RecordRow{row(n, "acme", policy.ChannelCall, day(1)), row(n, "other", policy.ChannelCall, day(1))})
	release := holdCommitter(t, s)
	withdrawal := queued(t, s, withdrawEvent(o), Request{})
	rows := newBatch(context.Background(), bulkRows(0, batchRows)) // so that the event is in a block of its own
	must(t, s.submitBatch(context.Background(), rows))
	release()
	if a := <-withdrawal.replies; a.err != nil || a.receipt.ID != state.EventID(2, 0) {
		t.Fatalf("the withdrawal: %+v, %v", a.receipt, a.err)
	}
	must(t, s.await(context.Background(), rows))
	body := bodyOf(t, s, 2)
	closeStore(t, s)
	harmTable(t, dir, body[len(body)/2:])
	r, err := Repair(context.Background(), dir, true, testOptions())
	if err != nil || len(r.Lost) != 1 || r.Lost[0] != (Gap{From: 2, To: 2}) {
		t.Fatalf("repair: lost %v, %v; want revision 2", r.Lost, err)
	}
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
	s = open(t, dir)
	wantVerdict(t, s, n, "acme", policy.Allow, policy.CauseNone)
	wantVerdict(t, s, n, "other", policy.Block, policy.CauseNone)
	wantHistories(t, s.View(), map[OptOut][]string{o: {"1.0 kind 1 acme ended 0", "1.1 kind 1 other ended 0"}})
}

// What was recorded after a withdrawal that is lost is no duplicate of what was withdrawn: it has its place in the state
// and in the history, whether it was a row or, as earlier builds wrote it, an event of its own.
func TestRepairRecordsWhatCameAfterALostWithdrawal(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]func(*testing.T, *Store, OptOut){
		"a row": func(t *testing.T, s *Store, o OptOut) { recordAll(t, s, []RecordRow{{OptOut: o}}) },
		"a unique event": func(t *testing.T, s *Store, o OptOut) {
			e := optOutEvent(o)
			e.GetOptOut().Unique = true
			if a := <-queued(t, s, e, Request{}).replies; a.err != nil {
				t.Fatal(a.err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, o := t.TempDir(), OptOut{Number: fiction(415, 1), Scope: "acme"}
			s := open(t, dir)
			record(t, s, o)
			_, from := logOf(t, dir)
			_, err := s.WithdrawOptOut(context.Background(), o.Number, o.Scope, Request{})
			must(t, err)
			_, to := logOf(t, dir)
			record(t, s, o)
			copied := loseLog(t, dir, from, to)
			r, err := Repair(context.Background(), copied, true, testOptions())
			if err != nil || len(r.Lost) != 1 || r.Lost[0] != (Gap{From: 2, To: 2}) {
				t.Fatalf("repair: lost %v, %v; want revision 2", r.Lost, err)
			}
			if r := mustFsck(t, copied); !r.OK() {
				t.Errorf("fsck: %v", r.Problems)
			}
			s = open(t, copied)
			wantVerdict(t, s, o.Number, "acme", policy.Block, policy.CauseNone)
			wantHistories(t, s.View(), map[OptOut][]string{o: {"1.0 kind 1 acme ended 0", "3.0 kind 1 acme ended 0"}})
			_, err = s.WithdrawOptOut(context.Background(), o.Number, o.Scope, Request{})
			must(t, err)
			wantHistories(t, s.View(), map[OptOut][]string{o: {
				"1.0 kind 1 acme ended 0", "3.0 kind 1 acme ended 0", fmt.Sprintf("%d.0 kind 2 acme ended 2", s.View().Revision()),
			}})
		})
	}
}
