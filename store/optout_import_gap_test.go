package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// onError calls itself for each message of that level.
type onError func()

func (onError) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (f onError) Handle(context.Context, slog.Record) error {
	f()
	return nil
}

func (f onError) WithAttrs([]slog.Attr) slog.Handler { return f }

func (f onError) WithGroup(string) slog.Handler { return f }

// TestRowsAfterARefusedBatchAreNotCounted: one batch is refused and those behind it are recorded. The import goes on with
// the refused one.
func TestRowsAfterARefusedBatchAreNotCounted(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	o := c.options()
	o.Logger = slog.New(onError(func() { c.set(-tenYears) })) // writes stop: the clock is back before the next group
	marks := 0
	o.faults = func(at step, write func() error) error {
		err := write()
		if at == stepMark {
			if marks++; marks == 2 {
				c.set(tenYears)
			}
		}
		return err
	}
	s := openWith(t, t.TempDir(), o)
	rows := bulkRows(0, 8*batchRows)
	i := stageRows(t, s, RecordsHeader{}, rows)
	defer i.Close()
	order := RecordsCommit{Chunks: i.LastChunk(), Read: uint64(len(rows))}
	if _, err := i.Commit(t.Context(), order, noProgress); !errors.Is(err, ErrClockJumped) {
		t.Fatalf("got %v, want ErrClockJumped for the third batch", err)
	}
	r := commitRows(t, i, order)
	if r.Accepted != r.Read {
		t.Errorf("%d of %d rows accepted", r.Accepted, r.Read)
	}
	if n := len(held(t, s)); n != len(rows) {
		t.Errorf("%d of %d numbers hold an opt-out", n, len(rows))
	}
}

// TestRowsThatAnotherRecordedAreDuplicates: rows that another import recorded between an order and the work on it. Rows of
// its own that a crash left uncounted are among its first, and there are none before it began.
func TestRowsThatAnotherRecordedAreDuplicates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		began bool // the work, and a crash ended it
		from  int
	}{
		{"first rows, not begun", false, 0},
		{"last rows, not begun", false, (batchesOpen+2)*batchRows - 100},
		{"last rows, begun", true, (batchesOpen+2)*batchRows - 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := testOptions()
			var s *Store
			o.faults = func(at step, write func() error) error {
				if at != stepRowsCommit {
					return write()
				}
				s.records.mu.Lock() // or the store's own sweep begins the work
				return errors.Join(write(), errors.New("the order is there, and nobody heard of it"))
			}
			s = openWith(t, t.TempDir(), o)
			rows := bulkRows(0, (batchesOpen+2)*batchRows)
			i := stageRows(t, s, RecordsHeader{}, rows)
			defer i.Close()
			order := RecordsCommit{Chunks: i.LastChunk(), Read: uint64(len(rows))}
			if _, err := i.Commit(t.Context(), order, noProgress); err == nil {
				t.Fatal("the commit did not fail")
			}
			if c.began {
				if err := os.WriteFile(filepath.Join(i.dir, progressFile), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			recordAll(t, s, rows[c.from:c.from+100])
			s.records.mu.Unlock()
			if r := commitRows(t, i, order); r.Duplicates != 100 {
				t.Errorf("%d accepted and %d duplicates, of 100 rows that another recorded", r.Accepted, r.Duplicates)
			}
		})
	}
}

// TestDryRunCountsWhatLastsLonger: a row that ends later than one before it says more.
func TestDryRunCountsWhatLastsLonger(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ends := func(o RecordRow, at time.Time) RecordRow {
		o.ExpiresAt = at
		return o
	}
	one := row(fiction(415, 1), "acme", policy.ChannelEmail, time.Time{})
	other := row(fiction(415, 2), "acme", policy.ChannelEmail, day(1))
	year := s.Now().Add(oneYear)
	rows := []RecordRow{
		ends(one, year), one, ends(one, year), one, ends(one, year.Add(oneYear)),
		ends(other, year), ends(other, year.Add(oneYear)), ends(other, year), other,
	}
	dry := importRows(t, s, RecordsHeader{DryRun: true}, rows)
	if r := importRows(t, s, RecordsHeader{}, rows); dry.Accepted != r.Accepted || r.Accepted != 5 {
		t.Errorf("%d rows accepted, %d in a dry run, want 5", r.Accepted, dry.Accepted)
	}
}
