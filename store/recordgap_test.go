package store

import (
	"context"
	"errors"
	"log/slog"
	"testing"
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
