package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dncd/dncd/client"
)

// fileBase is a calling base that is kept by files alone, as docs/subscribers.md says.
type fileBase struct {
	dir, format string
	rows        map[client.Row]bool // of csv and jsonl; plain numbers have no more than a number
	applied     string              // the last note
}

// apply verifies the files of a feed and applies them.
func (b *fileBase) apply(t *testing.T, r feedReport) {
	t.Helper()
	if r.Kind == feedFull {
		b.rows = map[client.Row]bool{}
	}
	for _, name := range b.verified(t, r) {
		f, err := os.Open(filepath.Join(b.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		switch frees := strings.Contains(name, ".allow."); b.format {
		case "jsonl":
			b.applyJSON(t, f)
		case "plain":
			b.applyPlain(t, f, frees)
		default:
			b.applyCSV(t, f, frees)
		}
		f.Close()
	}
	b.applied = r.Note
}

// verified are the files that *.files lists, after their hashes were compared.
func (b *fileBase) verified(t *testing.T, r feedReport) (names []string) {
	t.Helper()
	list, err := os.ReadFile(strings.TrimSuffix(r.Note, ".note") + ".files")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		content, err := os.ReadFile(filepath.Join(b.dir, name))
		if sum := sha256.Sum256(content); err != nil || hex.EncodeToString(sum[:]) != want {
			t.Fatalf("%s is not what its manifest says: %v", name, err)
		}
		names = append(names, name)
	}
	return names
}

func digitsOf(t *testing.T, e164 string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimPrefix(e164, "+"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *fileBase) applyJSON(t *testing.T, f *os.File) {
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var o rowObject
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
		row := client.Row{Number: digitsOf(t, o.Number), Scope: o.Scope, Source: o.Source}
		if b.rows[row] = true; o.Removed {
			delete(b.rows, row)
		}
	}
}

func (b *fileBase) applyPlain(t *testing.T, f *os.File, frees bool) {
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		row := client.Row{Number: digitsOf(t, lines.Text())}
		if b.rows[row] = true; frees {
			delete(b.rows, row)
		}
	}
}

func (b *fileBase) applyCSV(t *testing.T, f *os.File, frees bool) {
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range rows[1:] {
		n := digitsOf(t, fields[0])
		if frees {
			maps.DeleteFunc(b.rows, func(r client.Row, _ bool) bool { return r.Number == n })
		} else {
			b.rows[client.Row{Number: n, Scope: fields[1], Source: fields[2]}] = true
		}
	}
}

// numbers are those that the base blocks.
func (b *fileBase) numbers() map[uint64]bool {
	numbers := map[uint64]bool{}
	for r := range b.rows {
		numbers[r.Number] = true
	}
	return numbers
}

// wholeFeed is what the server says that a base should hold.
func wholeFeed(t *testing.T, c *client.Client, name string) (rows map[client.Row]bool) {
	t.Helper()
	rows = map[client.Row]bool{}
	for part, err := range c.GetFeed(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range part.Rows {
			rows[client.Row{Number: r.Number, Scope: r.Scope, Source: r.Source}] = true
		}
	}
	return rows
}

// wantSame compares a base with a full feed: jsonl has its rows, the others its numbers.
func (b *fileBase) wantSame(t *testing.T, whole map[client.Row]bool, step int) {
	t.Helper()
	if b.format == "jsonl" && !maps.Equal(b.rows, whole) {
		t.Fatalf("step %d: jsonl: the base has %d rows, want the %d of the feed", step, len(b.rows), len(whole))
	}
	want := (&fileBase{rows: whole}).numbers()
	if got := b.numbers(); !maps.Equal(got, want) {
		t.Fatalf("step %d: %s: the base blocks %d numbers, want the %d of the feed", step, b.format, len(got), len(want))
	}
	for row := range whole {
		if b.format == "csv" && !b.rows[row] {
			t.Fatalf("step %d: csv: a row is missing", step)
		}
	}
}

// feedWrites are random writes that feeds are about.
type feedWrites struct {
	c     *client.Client
	rnd   *rand.Rand
	lists []string
}

func (w *feedWrites) number() string { return fmt.Sprintf("+1415555%04d", 100+w.rnd.IntN(40)) }

func (w *feedWrites) one(ctx context.Context) error {
	scope := []string{"", "acme", "acme/telecom"}[w.rnd.IntN(3)]
	switch kind := w.rnd.IntN(20); {
	case kind < 10:
		_, err := w.c.RecordOptOut(ctx, client.OptOut{Number: w.number(), Scope: scope, Channel: client.ChannelCall})
		return err
	case kind < 16:
		_, err := w.c.WithdrawOptOut(ctx, client.Withdrawal{Number: w.number(), Scope: scope, Reason: "a test"})
		if errors.Is(err, client.ErrNothingToWithdraw) {
			return nil
		}
		return err
	case kind == 19 && len(w.lists) > 1 && w.rnd.IntN(4) == 0:
		last := len(w.lists) - 1
		_, err := w.c.DeleteList(ctx, w.lists[last], true)
		w.lists = w.lists[:last]
		return err
	}
	some := make([]string, 5+w.rnd.IntN(20))
	for i := range some {
		some[i] = w.number()
	}
	_, err := w.c.Import(ctx, client.ImportRequest{List: w.lists[w.rnd.IntN(len(w.lists))], Override: true, Numbers: client.Numbers(slices.Values(some))})
	return err
}

// TestFilesKeepABaseInStep applies the files of random histories one after the other. Some feeds are applied and not acknowledged, others
// never reach the base, or are received and lost; after each that does, the base holds what a full feed has.
func TestFilesKeepABaseInStep(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			keptByFiles(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func keptByFiles(t *testing.T, rnd *rand.Rand) {
	addr, _ := startDaemon(t)
	c, err := client.New(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w := &feedWrites{c: c, rnd: rnd, lists: []string{"mine", "partner", "third"}}
	mustDnc(t, addr, "list", "create", "mine", "--kind", "suppression")
	mustDnc(t, addr, "list", "create", "partner", "--kind", "suppression", "--scope", "acme")
	mustDnc(t, addr, "list", "create", "third", "--kind", "suppression")
	mustDnc(t, addr, "subscriber", "put", "south", "--kind", "internal", "--list", "mine", "--list", "partner", "--list", "third")
	var bases []*fileBase
	for _, format := range feedFormats {
		bases = append(bases, &fileBase{dir: t.TempDir(), format: format, rows: map[client.Row]bool{}})
	}
	owed := 0 // feeds since the acknowledgement that have changes
	for step := range 25 {
		for range 1 + rnd.IntN(6) {
			if err := w.one(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		arrives := rnd.IntN(4) > 0
		var last feedReport
		for _, b := range bases {
			code, out, said := dncOf(t.Context(), addr, "feed", "south", "--out", b.dir, "--format", b.format, "-o", "json")
			if err := json.Unmarshal([]byte(out), &last); err != nil {
				t.Fatal(err, said)
			}
			if want := min(len(last.Unacknowledged), 1); code != want || owed == 0 && want != 0 {
				t.Fatalf("step %d: exit code %d with %d feeds that were not acknowledged, and %d since the last that was: %s", step, code, len(last.Unacknowledged), owed, said)
			}
			if arrives {
				b.apply(t, last)
				b.wantSame(t, wholeFeed(t, c, "south"), step)
			}
		}
		stage := "received" // which a base may lose again
		if owed++; arrives {
			stage = []string{"durable", "applied"}[rnd.IntN(2)]
		}
		if rnd.IntN(2) == 0 {
			mustDnc(t, addr, "subscriber", "ack", "south", "--at", fmt.Sprint(last.Revision), "--stage", stage)
			if arrives {
				owed = 0
			}
		}
	}
}
