package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// logOf is the log that a running store writes to, and where it ends now.
func logOf(t *testing.T, dir string) (path string, end int) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, badgerDir, "*.mem"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	b, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	return logs[0], len(bytes.TrimRight(b, "\x00"))
}

// loseLog makes a copy of a running store whose log holds nothing from one place to another.
func loseLog(t *testing.T, dir string, from, to int) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "d")
	copyTree(t, dir, copied)
	path, _ := logOf(t, copied)
	writeAt(t, path, int64(from), make([]byte, to-from))
	return copied
}

// Lists go with the revisions that created or loaded them: repair says which before anybody accepts that.
func TestRepairNamesListsThatGoWithLostRevisions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	old, added := registryNumbers(4000)[:2000], registryNumbers(4000)[2000:]
	createList(t, s, "older", Settings{})
	load(t, s, "older", Replace, old, Commit{})
	optOut(t, s, fiction(415, 1), "acme")
	_, begin := logOf(t, dir)
	createList(t, s, "younger", Settings{})
	_, created := logOf(t, dir)
	load(t, s, "younger", Replace, old, Commit{})
	load(t, s, "older", Add, added, Commit{})
	_, end := logOf(t, dir)

	for _, c := range []struct {
		name           string
		from, to       int
		lost, unloaded []string
	}{
		{"the creation", begin, created, []string{"younger"}, nil},
		{"all that came after", begin, end, []string{"the list that revision 5 created"}, []string{"older"}},
		{"the loads", created, end, nil, []string{"older", "younger"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := loseLog(t, dir, c.from, c.to)
			refused, err := Repair(context.Background(), d, false, testOptions())
			if !errors.Is(err, ErrLoss) {
				t.Fatalf("repair: %v, want ErrLoss", err)
			}
			r, err := Repair(context.Background(), d, true, testOptions())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range []Report{refused, r} {
				slices.Sort(r.Unloaded)
				if diff := cmp.Diff([][]string{c.lost, c.unloaded}, [][]string{r.LostLists, r.Unloaded}); diff != "" {
					t.Errorf("lost lists and unloaded ones, want(-) got(+):\n%s", diff)
				}
			}
			wantNoAllowOf(t, d, "older", added[7])
		})
	}
}

// Where nothing tells what lost revisions did, each list that shows older content is named: they may have loaded it.
func TestRepairNamesListsThatLostRevisionsMayHaveChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "loaded", Settings{})
	load(t, s, "loaded", Replace, registryNumbers(2000), Commit{})
	createList(t, s, "never-loaded", Settings{})
	_, begin := logOf(t, dir)
	optOut(t, s, fiction(415, 1), "acme")
	_, end := logOf(t, dir)
	d := loseLog(t, dir, begin, end)
	if _, err := Repair(context.Background(), d, false, testOptions()); !errors.Is(err, ErrLoss) {
		t.Fatalf("repair: %v, want ErrLoss", err)
	}
	r, err := Repair(context.Background(), d, true, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Doubtful, []string{"loaded"}) || r.Unloaded != nil || r.LostLists != nil {
		t.Errorf("named as in doubt %q, not loaded %q, lost %q; want only the list that was loaded, as in doubt", r.Doubtful, r.Unloaded, r.LostLists)
	}
}

// wantNoAllowOf opens a repaired store and checks that a number of a list that is there is not callable.
func wantNoAllowOf(t *testing.T, dir, list string, number uint64) {
	t.Helper()
	s := open(t, dir)
	defer closeStore(t, s)
	if cause := s.State().Cause; cause != nil {
		t.Fatal("repaired store:", cause)
	}
	if _, err := s.View().List(list); err != nil {
		t.Fatal(err)
	}
	if v := verdict(s.View(), phone.Number(number), "other", s.Now()); v.Verdict == policy.Allow {
		t.Errorf("ALLOW for a number of list %s", list)
	}
}
