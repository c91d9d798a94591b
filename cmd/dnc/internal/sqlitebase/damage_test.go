package sqlitebase

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dncd/dncd/client"
)

// manyRows makes edits that put rows.
func manyRows(first uint64, n int) (edits []client.Edit) {
	for i := range n {
		edits = append(edits, client.Edit{Kind: client.EditPut, Row: client.Row{Number: first + uint64(i), Source: client.SourceOptOut}})
	}
	return edits
}

// TestDamagedFileIsRefused holds that a base which may lack rows is not followed into: it would block too little in silence.
func TestDamagedFileIsRefused(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole.sqlite")
	b := open(t, whole)
	if err := b.Apply(t.Context(), client.Batch{Edits: slices.Values(manyRows(14155550100, 3000))}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	bytes, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	statement := func(s string) func(string) error {
		return func(path string) error {
			f, err := connect(path, "")
			if err == nil {
				_, err = f.db.Exec(s)
				err = errors.Join(err, f.db.Close())
			}
			return err
		}
	}
	for name, damage := range map[string]func(path string) error{
		"a page":    func(p string) error { return os.WriteFile(p, withZeros(bytes, len(bytes)-4096, 4096), 0o600) },
		"cut":       func(p string) error { return os.WriteFile(p, bytes[:len(bytes)/2], 0o600) },
		"no rows":   statement(`DROP VIEW blocked; DROP TABLE rows`),
		"its state": statement(`UPDATE meta SET value = '{' WHERE key = 'state'`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "base.sqlite")
			if err := errors.Join(os.WriteFile(path, bytes, 0o600), damage(path)); err != nil {
				t.Fatal(err)
			}
			b, err := Open(t.Context(), path)
			if err == nil {
				defer b.Close()
				_, err = b.Load(t.Context())
			}
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v, want ErrDamaged", err)
			}
		})
	}
}

func withZeros(b []byte, at, n int) []byte {
	b = slices.Clone(b)
	clear(b[at : at+n])
	return b
}

// TestFullDiskLeavesTheFile holds that changes for which there is no room leave rows and state as they were.
func TestFullDiskLeavesTheFile(t *testing.T) {
	t.Parallel()
	b, m := open(t, filepath.Join(t.TempDir(), "base.sqlite")), newModel()
	state := client.FollowState{SubscriberID: "5.0"}
	if err := b.Apply(t.Context(), client.Batch{State: state, Edits: slices.Values(manyRows(14155550100, 1))}); err != nil {
		t.Fatal(err)
	}
	m.edit(manyRows(14155550100, 1)[0])
	if _, err := b.db.Exec(`PRAGMA max_page_count = 10`); err != nil {
		t.Fatal(err)
	}
	err := b.Apply(t.Context(), client.Batch{Edits: slices.Values(manyRows(14155550101, 3000))})
	if !errors.Is(err, ErrNoRoom) {
		t.Errorf("got %v, want ErrNoRoom", err)
	}
	compare(t, b, m, state)
}
