package sqlitebase

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

// model is what a Base should hold, without SQL.
type model struct{ rows, orphans, staged map[client.Row]time.Time } // by row without its end: its end

func newModel() *model {
	return &model{map[client.Row]time.Time{}, map[client.Row]time.Time{}, map[client.Row]time.Time{}}
}

func key(r client.Row) client.Row {
	r.Until = time.Time{}
	return r
}

// isEarlier reports whether the first of two ends is earlier. The zero end never comes.
func isEarlier(a, b time.Time) bool { return !a.IsZero() && (b.IsZero() || a.Before(b)) }

func (m *model) edit(e client.Edit) {
	k := key(e.Row)
	switch e.Kind {
	case client.EditPut:
		m.rows[k] = e.Until
		if end, ok := m.orphans[k]; ok && !isEarlier(e.Until, end) {
			delete(m.orphans, k)
		}
	case client.EditDelete:
		delete(m.rows, k)
	case client.EditMove, client.EditDrop:
		for r, end := range maps.Clone(m.rows) {
			if r.Source != e.Source {
				continue
			}
			delete(m.rows, r)
			if r.Scope = e.Scope; e.Kind == client.EditMove {
				m.rows[r] = end
			}
		}
	}
}

func (m *model) swap(s client.Swap) {
	old := m.rows
	m.rows = maps.Clone(m.staged)
	for r, end := range old {
		now, ok := m.staged[r]
		switch {
		case slices.Contains(s.Keep, r.Source):
			if !ok {
				m.rows[r] = end
			}
		case s.KeepOrphans && (!ok || isEarlier(now, end) || slices.Contains(s.Foreign, r.Source)):
			if was, ok := m.orphans[r]; !ok || isEarlier(was, end) {
				m.orphans[r] = end
			}
		}
	}
	for r, end := range m.staged {
		if was, ok := m.orphans[r]; ok && !isEarlier(end, was) && !slices.Contains(s.Foreign, r.Source) {
			delete(m.orphans, r)
		}
	}
	m.staged = map[client.Row]time.Time{}
}

func sorted(rows map[client.Row]time.Time) (out []client.Row) {
	for r, end := range rows {
		r.Until = end
		out = append(out, r)
	}
	slices.SortFunc(out, client.Row.Compare)
	return out
}

func open(t *testing.T, path string) *Base {
	t.Helper()
	b, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func someRow(r *rand.Rand) client.Row {
	row := client.Row{
		Number: 14155550100 + r.Uint64N(6), Scope: []string{"", "acme", "acme/x"}[r.IntN(3)],
		Source: []string{client.SourceOptOut, "4.0", "12.1"}[r.IntN(3)],
	}
	if row.Source == client.SourceOptOut && r.IntN(2) == 0 { // rows of lists do not end
		row.Until = time.Unix(int64(1_800_000_000+r.IntN(3)), 5).UTC()
	}
	return row
}

// someEdit moves lists only: their rows do not end, so that two that meet at one scope are the same.
func someEdit(r *rand.Rand) client.Edit {
	e := client.Edit{Kind: client.EditKind(1 + r.IntN(4)), Row: someRow(r)}
	if e.Kind == client.EditMove {
		e.Source = "4.0"
	}
	return e
}

func some[T any](r *rand.Rand, least, most int, make func() T) (out []T) {
	for range least + r.IntN(most-least) {
		out = append(out, make())
	}
	return out
}

// TestBaseAgreesWithItsModel makes random batches and swaps, and reopens the file at times.
func TestBaseAgreesWithItsModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		path := filepath.Join(t.TempDir(), "base ?%.sqlite") // a name that is no URL
		b, m := open(t, path), newModel()
		for i := range 40 {
			state := client.FollowState{Subscriber: "north", SubscriberID: fmt.Sprint(i)}
			var err error
			if r.IntN(3) == 0 {
				err = randomSwap(t.Context(), r, b, m, state)
			} else {
				edits := some(r, 0, 20, func() client.Edit { return someEdit(r) })
				for _, e := range edits {
					m.edit(e)
				}
				err = b.Apply(t.Context(), client.Batch{State: state, Edits: slices.Values(edits)})
			}
			if err != nil {
				t.Fatal(err)
			}
			if i%10 == 9 {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				b = open(t, path)
			}
			compare(t, b, m, state)
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, i)
			}
		}
	}
}

func randomSwap(ctx context.Context, r *rand.Rand, b *Base, m *model, state client.FollowState) error {
	s := client.Swap{State: state, KeepOrphans: r.IntN(2) == 0}
	if r.IntN(3) == 0 {
		s.Keep = []string{"4.0"}
	}
	if s.KeepOrphans && r.IntN(2) == 0 {
		s.Foreign = []string{"12.1"}
	}
	for _, row := range some(r, 0, 20, func() client.Row { return someRow(r) }) {
		if !slices.Contains(s.Keep, row.Source) { // the server has no rows of a list in doubt
			m.staged[key(row)] = row.Until
		}
	}
	err := b.Stage(ctx, slices.Values([]client.Row{someRow(r)}), true) // of a snapshot that was cut
	err = errors.Join(err, b.Stage(ctx, slices.Values([]client.Row(nil)), true))
	for _, row := range sorted(m.staged) {
		err = errors.Join(err, b.Stage(ctx, slices.Values([]client.Row{row}), false))
	}
	m.swap(s)
	return errors.Join(err, b.Swap(ctx, s))
}

// compare fails the test unless a base holds what its model does, and this state.
func compare(t *testing.T, b *Base, m *model, state client.FollowState) {
	t.Helper()
	for _, of := range []struct {
		what string
		got  func() ([]client.Row, error)
		want []client.Row
	}{
		{"rows", func() ([]client.Row, error) { return collect(b.Rows(t.Context())) }, sorted(m.rows)},
		{"orphans", func() ([]client.Row, error) { return collect(b.Orphans(t.Context())) }, sorted(m.orphans)},
	} {
		if got, err := of.got(); err != nil || !slices.Equal(got, of.want) {
			t.Errorf("%s: got %v (%v),\nwant %v", of.what, got, err, of.want)
		}
	}
	rows, orphans, err := b.Counts(t.Context())
	if err != nil || rows != uint64(len(m.rows)) || orphans != uint64(len(m.orphans)) {
		t.Errorf("counts %d and %d (%v), want %d and %d", rows, orphans, err, len(m.rows), len(m.orphans))
	}
	var staged int
	if err := b.db.QueryRow(`SELECT count(*) FROM staged`).Scan(&staged); err != nil || staged != len(m.staged) {
		t.Errorf("%d staged rows (%v), want %d", staged, err, len(m.staged))
	}
	if got, err := b.Load(t.Context()); err != nil || got.SubscriberID != state.SubscriberID {
		t.Errorf("state %v (%v), want %v", got, err, state)
	}
}

func collect(seq iter.Seq2[client.Row, error]) (rows []client.Row, err error) {
	for r, err := range seq {
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// TestBlocked holds what readers see: rows that have not ended, orphans among them, and nothing that is staged.
func TestBlocked(t *testing.T) {
	t.Parallel()
	b := open(t, filepath.Join(t.TempDir(), "base.sqlite"))
	row := func(n uint64, until time.Time) client.Edit {
		return client.Edit{Kind: client.EditPut, Row: client.Row{Number: n, Source: client.SourceOptOut, Until: until}}
	}
	edits := []client.Edit{row(1, time.Time{}), row(2, time.Now().Add(time.Hour)), row(3, time.Now().Add(-2*time.Second)), row(4, time.Time{})}
	err := b.Apply(t.Context(), client.Batch{Edits: slices.Values(edits)})
	staged := []client.Row{{Number: 1, Source: client.SourceOptOut}, {Number: 2, Source: client.SourceOptOut}}
	err = errors.Join(err, b.Stage(t.Context(), slices.Values(staged), true), b.Swap(t.Context(), client.Swap{KeepOrphans: true}))
	err = errors.Join(err, b.Stage(t.Context(), slices.Values([]client.Row{{Number: 5, Source: client.SourceOptOut}}), true))
	if err != nil {
		t.Fatal(err)
	}
	var got string
	if err := b.db.QueryRow(`SELECT group_concat(number || ' ' || orphan, ', ') FROM (SELECT * FROM blocked ORDER BY number)`).Scan(&got); err != nil || got != "1 0, 2 0, 4 1" {
		t.Errorf("blocked are %q (%v), want 1 0, 2 0, 4 1", got, err)
	}
	if n, err := b.DropOrphans(t.Context()); err != nil || n != 2 {
		t.Errorf("dropped %d orphans (%v), want 2, one of which had ended", n, err)
	}
}

// TestChangesAreOnDisk holds that SQLite waits for the disk at each commit: what was applied is acknowledged as durable.
func TestChangesAreOnDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "base.sqlite")
	b := open(t, path)
	other, err := OpenExisting(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, b := range []*Base{b, other} {
		var synchronous int
		if err := b.db.QueryRow(`PRAGMA synchronous`).Scan(&synchronous); err != nil || synchronous != 2 {
			t.Errorf("synchronous is %d (%v), want 2, FULL", synchronous, err)
		}
	}
}

// TestFailedApplyLeavesNothing holds that rows and state change together.
func TestFailedApplyLeavesNothing(t *testing.T) {
	t.Parallel()
	b, m := open(t, filepath.Join(t.TempDir(), "base.sqlite")), newModel()
	put := client.Edit{Kind: client.EditPut, Row: client.Row{Number: 1, Source: client.SourceOptOut}}
	m.edit(put)
	state := client.FollowState{SubscriberID: "5.0"}
	if err := b.Apply(t.Context(), client.Batch{State: state, Edits: slices.Values([]client.Edit{put})}); err != nil {
		t.Fatal(err)
	}
	put.Number = 2
	bad := []client.Edit{put, {Kind: 99}}
	if err := b.Apply(t.Context(), client.Batch{Edits: slices.Values(bad)}); err == nil {
		t.Error("an edit of no kind was made")
	}
	compare(t, b, m, state)
}

// TestOneWriter holds that two do not follow into one file, that others may read it, and who may.
func TestOneWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "base.sqlite")
	b := open(t, path)
	if _, err := Open(t.Context(), path); err != nil && !errors.Is(err, ErrLocked) || err == nil {
		t.Errorf("opened twice: %v, want ErrLocked", err)
	}
	other, err := OpenExisting(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, _, err := other.Counts(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := other.DropOrphans(t.Context()); err == nil {
		t.Error("one who looks at the file changed it")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", filepath.Base(name), info, err)
		}
	}
}

// TestTwoNamesOfOneFile holds that nobody follows into a file beside another, by whatever name, and with the lock removed: the one
// who came first can neither apply nor stage any more, nor swap in what the other has staged.
func TestTwoNamesOfOneFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "base.sqlite"), filepath.Join(dir, "link.sqlite")
	first := open(t, path)
	put := func(b *Base, n uint64) error {
		edit := client.Edit{Kind: client.EditPut, Row: client.Row{Number: n, Source: client.SourceOptOut}}
		return b.Apply(t.Context(), client.Batch{Edits: slices.Values([]client.Edit{edit})})
	}
	if err := errors.Join(put(first, 1), os.Symlink(path, link)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), link); !errors.Is(err, ErrLocked) {
		t.Errorf("by a link: %v, want ErrLocked", err)
	}
	if err := os.Remove(path + ".lock"); err != nil {
		t.Fatal(err)
	}
	second := open(t, path)
	rows := slices.Values([]client.Row{{Number: 2, Source: client.SourceOptOut}})
	for what, err := range map[string]error{
		"apply": put(first, 3),
		"stage": first.Stage(t.Context(), rows, true),
		"swap":  first.Swap(t.Context(), client.Swap{}),
	} {
		if !errors.Is(err, ErrLocked) {
			t.Errorf("%s of the first: %v, want ErrLocked", what, err)
		}
	}
	if err := put(second, 2); err != nil {
		t.Error(err)
	}
	if got, err := collect(second.Rows(t.Context())); err != nil || len(got) != 2 {
		t.Errorf("%d rows (%v), want 1 and 2", len(got), err)
	}
}

// TestKilledWhileItWasMade holds that a file without tables, which is left when its maker is killed, becomes a base.
func TestKilledWhileItWasMade(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "base.sqlite")
	b, err := connect(path, "_pragma=journal_mode(WAL)")
	if err == nil {
		err = errors.Join(b.db.PingContext(t.Context()), b.db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("the file is %v, %v: nothing was made", info, err)
	}
	if _, _, err := open(t, path).Counts(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOtherFiles holds that a file which is no base is refused and not changed.
func TestOtherFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes.txt")
	if _, err := OpenExisting(t.Context(), path, false); !errors.Is(err, ErrNoBase) {
		t.Errorf("of no file: %v, want ErrNoBase", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it was made")
	}
	text := []byte("not a database, but somebody's notes")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, open := range map[string]func() (*Base, error){
		"to follow": func() (*Base, error) { return Open(t.Context(), path) },
		"to look":   func() (*Base, error) { return OpenExisting(t.Context(), path, true) },
	} {
		if _, err := open(); !errors.Is(err, ErrNoBase) {
			t.Errorf("%s: %v, want ErrNoBase", what, err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || !slices.Equal(got, text) {
		t.Errorf("the file is %q now (%v)", got, err)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.sqlite")
	f, err := connect(foreign, "")
	if err == nil {
		_, err = f.db.Exec(`CREATE TABLE calls (number INTEGER)`)
		err = errors.Join(err, f.db.Close())
	}
	before, err2 := os.ReadFile(foreign)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), foreign); !errors.Is(err, ErrNoBase) {
		t.Errorf("of another database: %v, want ErrNoBase", err)
	}
	if after, err := os.ReadFile(foreign); err != nil || !slices.Equal(after, before) {
		t.Errorf("another database was changed (%v)", err)
	}
	later := filepath.Join(t.TempDir(), "later.sqlite")
	b := open(t, later)
	if _, err := b.db.Exec(`UPDATE meta SET value = 2 WHERE key = 'schema'`); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := Open(t.Context(), later); !errors.Is(err, ErrNoBase) {
		t.Errorf("of a later version: %v, want ErrNoBase", err)
	}
}
