package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

const cutNumbers = 1500

// cutStore holds opt-outs and a list, all of them in a table.
func cutStore(t *testing.T, dir string) {
	s := open(t, dir)
	var rows []RecordRow
	for _, n := range cutOptOuts() {
		rows = append(rows, row(n, "acme", policy.ChannelCall, day(1)))
	}
	recordAll(t, s, rows)
	createList(t, s, "us-ftc", Settings{})
	load(t, s, "us-ftc", Replace, registryNumbers(cutNumbers), Commit{})
	closeStore(t, s)
}

func cutOptOuts() (numbers []phone.Number) {
	for i := range uint64(cutNumbers) {
		numbers = append(numbers, writersNumber(0, i))
	}
	return numbers
}

// A table that is cut, or overwritten with zeros, while the store is open makes nobody callable and no write acknowledged, not
// even before the watch notices: a read that finds nothing is believed only when the tables are as they were. The database
// may end the process over it, so each harm has a process of its own.
func TestTableThatIsCutAllowsNothing(t *testing.T) {
	if harm := os.Getenv(harmEnv); harm != "" {
		harmAndCheck(t, harm, os.Getenv("DNCTEST_DIR"))
		return
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	dir := t.TempDir()
	cutStore(t, dir)
	var whole atomic.Int64
	t.Run("harms", func(t *testing.T) {
		for i := range 12 {
			for _, harm := range []string{"cut", "zero"} {
				harm := fmt.Sprintf("%s %d", harm, i)
				t.Run(harm, func(t *testing.T) {
					t.Parallel()
					copied := filepath.Join(t.TempDir(), "data")
					copyTree(t, dir, copied)
					if apart(t, harm, "DNCTEST_DIR="+copied) {
						whole.Add(1)
					}
				})
			}
		}
	})
	if whole.Load() < 12 {
		t.Errorf("%d of 24 processes looked at every number", whole.Load())
	}
}

// harmEnv holds the harm that a test does in a process of its own.
const harmEnv = "DNCTEST_HARM"

// apart runs the test once more in a process of its own, with that harm, and reports whether it came to its end: the
// database may end the process over a damaged table.
func apart(t *testing.T, harm string, env ...string) bool {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(append(os.Environ(), harmEnv+"="+harm), env...)
	out, err := child.CombinedOutput()
	if strings.Contains(string(out), "--- FAIL") {
		t.Errorf("%s: %s", harm, out)
	}
	return err == nil && strings.Contains(string(out), "--- PASS")
}

// cutTail cuts off the tail of a table, whose length is in the 4 bytes behind it.
func cutTail(b []byte) (rest, tail []byte) {
	end := len(b) - 4
	start := end - int(binary.BigEndian.Uint32(b[end:]))
	return b[:start], b[start:end]
}

// harmAndCheck harms the table's index at one of twelve places. A write is tried, and each number is looked at as if it were
// the first one.
func harmAndCheck(t *testing.T, how, dir string) {
	var harm string
	var place int
	if _, err := fmt.Sscan(how, &harm, &place); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	path := largest(t, filepath.Join(dir, badgerDir, "*.sst"))
	rest, _ := cutTail(readFile(t, path))
	blocks, index := cutTail(rest)
	at := int64(len(blocks) + place*len(index)/12)
	if harm == "cut" {
		must(t, os.Truncate(path, at))
	} else {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt(make([]byte, 512), at)
		must(t, errors.Join(err, f.Close()))
	}
	if _, err := s.RecordOptOut(context.Background(), OptOut{Number: cutOptOuts()[0], Scope: "other"}, Request{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a write that may not have seen the records before it: %v, want ErrDamaged", err)
	}
	b := newBatch(context.Background(), nil)
	for _, n := range cutOptOuts() {
		b.rows, b.outcomes = append(b.rows, row(n, "acme", policy.ChannelCall, day(1))), append(b.outcomes, Outcome{})
	}
	s.damageSeen.Store(false)
	if s.View().findHeld(b); slices.Contains(duplicates(b.outcomes), true) {
		t.Error("rows of a file are duplicates of what was read from tables that are not as they were")
	}
	for what, numbers := range map[string][]phone.Number{"opted out": cutOptOuts(), "listed": phones(registryNumbers(cutNumbers))} {
		allowed, absent := 0, 0
		for _, n := range numbers {
			s.damageSeen.Store(false)
			if verdict(s.View(), n, "acme", s.Now()).Verdict == policy.Allow {
				allowed++
			}
			s.damageSeen.Store(false)
			if facts, err := s.View().Number(n, s.Now()); err == nil && len(facts.Records)+len(facts.Lists) == 0 {
				absent++
			}
		}
		if allowed+absent > 0 {
			t.Errorf("of %d numbers that are %s: ALLOW for %d, nothing known of %d", len(numbers), what, allowed, absent)
		}
	}
	_ = s.Close() // it tells of the damage
}

func phones(digits []uint64) (numbers []phone.Number) {
	for _, d := range digits {
		numbers = append(numbers, phone.Number(d))
	}
	return numbers
}
