package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
)

// TestDamageIsNeverAllow flips bits in, cuts off and removes every file of a store, that was closed and that was killed,
// one at a time: it is detected, or harmless, and a number that was opted out or listed never gets ALLOW, at once, after
// what the store does by itself, and after the next open. DNCTEST_DAMAGE_FLIPS asks for every file and so many flips in each.
func TestDamageIsNeverAllow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	if dir := os.Getenv(childDir); dir != "" {
		newDamageTest(t, dir).suffer(campaign(t, childRound, 0))
		return
	}
	dir := t.TempDir()
	d := newDamageTest(t, filepath.Join(dir, "all"))
	d.makeStores()
	cases := d.allCases(seeded(t), campaign(t, "DNCTEST_DAMAGE_FLIPS", 0))
	const shares = 4 // each in a process of its own
	for i := range shares {
		t.Run(fmt.Sprint("share ", i), func(t *testing.T) {
			t.Parallel()
			d := newDamageTest(t, filepath.Join(dir, fmt.Sprint("share", i)))
			d.cases = cases[i*len(cases)/shares : (i+1)*len(cases)/shares]
			d.runAll()
		})
	}
}

// damage is one thing that happens to one file of a store.
type damage struct {
	Base, File string
	Kind       string // flip, cut, gone
	At         int64  // of flip: the byte; of cut: the new size
	Bit        int
}

func (c damage) String() string {
	return fmt.Sprintf("%s store, %s: %s %d.%d", c.Base, c.File, c.Kind, c.At, c.Bit)
}

// What a damage led to.
const (
	refused  = "refused"  // Open returned ErrDamaged
	detected = "detected" // the store is open and tells of it: it doubts what it does not find, or lacks stories
	harmless = "harmless" // everything is there
	deadly   = "deadly"   // the process died
)

// damageTest is a directory with cases and what they led to, beside the stores to damage.
type damageTest struct {
	t     *testing.T
	dir   string
	cases []damage
}

func newDamageTest(t *testing.T, dir string) *damageTest { return &damageTest{t: t, dir: dir} }

func (d *damageTest) path(name string) string { return filepath.Join(d.dir, name) }

// store is one of the stores to damage, beside the directories of all tests that do it.
func (d *damageTest) store(base string) string { return filepath.Join(filepath.Dir(d.dir), base) }

// runAll has a child suffer all cases, and another one continue where a child dies.
func (d *damageTest) runAll() {
	d.orFatal(os.Mkdir(d.dir, 0o700))
	d.save("cases", d.cases)
	for next := 0; next < len(d.cases); {
		next = d.run(next)
	}
	d.logTally()
}

func (d *damageTest) save(name string, v any) {
	d.t.Helper()
	b, err := json.Marshal(v)
	if err := errors.Join(err, os.WriteFile(d.path(name), b, 0o600)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *damageTest) load(name string, v any) {
	d.t.Helper()
	b, err := os.ReadFile(d.path(name))
	if err := errors.Join(err, json.Unmarshal(b, v)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *damageTest) options() Options { return Options{MinFree: 1 << 20, Ballast: 1 << 20} }

// The numbers of the damaged stores.
func damagedOptOut(i int) phone.Number { return childNumber(i/childNumbers, i%childNumbers) }

func damagedListed() []uint64 { return childContent(1)[:3000] }

const (
	damageOptOuts = 600
	damageInTable = 400 // of them, recorded before the store was closed once
)

// makeStores makes the store that was killed, with tables and logs, and the same one closed. Both hold a load that was
// prepared and an import that was left.
func (d *damageTest) makeStores() {
	s := openWith(d.t, d.store("closed"), d.options())
	createList(d.t, s, childList(0), Settings{Kind: policy.ListSuppression})
	load(d.t, s, childList(0), Replace, damagedListed(), Commit{})
	d.optOut(s, 0, damageInTable)
	createGrant(d.t, s, tokenGrant("revoked", access.Checker))
	createGrant(d.t, s, tokenGrant("early", access.Checker))
	mustPut(d.t, s, "early", atScopes("acme"))
	mustPut(d.t, s, "removed", nothing)
	mustPutDesk(d.t, s, "Early")
	closeStore(d.t, s)
	s = openWith(d.t, d.store("closed"), d.options())
	createGrant(d.t, s, tokenGrant("late", access.Checker))
	revokeGrant(d.t, s, "revoked")
	mustPut(d.t, s, "late", nothing)
	mustRemove(d.t, s, "removed")
	mustPutDesk(d.t, s, "Late")
	d.optOut(s, damageInTable, damageOptOuts)
	d.leaveImport(s, false)
	d.leaveImport(s, true)
	wantVerdict(d.t, s, fiction(499, 0), "acme", policy.Allow, policy.CauseNone) // ALLOW is what damage could lead to
	copyTree(d.t, d.store("closed"), d.store("killed"))
	closeStore(d.t, s)
}

// OptOut opts numbers out, every third one twice with a withdrawal in between.
func (d *damageTest) optOut(s *Store, from, to int) {
	var writers sync.WaitGroup
	for w := range childWriters {
		writers.Go(func() {
			for i := from + w; i < to; i += childWriters {
				kinds := []string{didOptOut, didWithdraw, didOptOut}
				if i%3 != 0 {
					kinds = kinds[:1]
				}
				for _, kind := range kinds {
					r := Request{Story: Story{Note: strings.Repeat("n", i%50)}}
					if _, err := writeRecord(s, damagedOptOut(i), kind, r); err != nil {
						d.t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
}

// leaveImport leaves an import that was staged, or prepared too.
func (d *damageTest) leaveImport(s *Store, prepared bool) {
	i, err := s.BeginImport(Header{List: childList(0), Mode: Add, Guards: Guards{MaxShrink: -1, MaxRejects: -1}})
	if err != nil {
		d.t.Fatal(err)
	}
	defer i.Close()
	numbers := childContent(2)[:500]
	if err := i.Put(Chunk{Seq: 1, Numbers: numbers}); err != nil || !prepared {
		d.orFatal(err)
		return
	}
	staged, err := s.sortContent(context.Background(), i.list, i.log, i.dir)
	d.orFatal(err)
	ctx := context.Background()
	_, err = i.prepare(ctx, ctx, &Commit{Chunks: 1, Read: uint64(len(numbers))}, staged, func(Progress) {})
	d.orFatal(err)
}

func (d *damageTest) orFatal(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// allCases damages every file of both stores: what carries the records and lists more often than the rest, and where no
// number of flips is asked for, of the rest each file of the killed store once.
func (d *damageTest) allCases(random *rand.Rand, flips int) (cases []damage) {
	short := flips == 0
	for _, base := range []string{"killed", "closed"} {
		d.orFatal(filepath.WalkDir(d.store(base), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			file := strings.TrimPrefix(path, d.store(base)+"/")
			some := fileCases(random, content, max(flips, 3))
			if short && !carries(file) {
				random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
				some = some[:1]
				if base == "closed" {
					some = nil
				}
			}
			for _, c := range some {
				c.Base, c.File = base, file
				cases = append(cases, c)
			}
			return err
		}))
	}
	return cases
}

// carries reports whether acknowledged writes or their marks lie in the file.
func carries(file string) bool {
	inBadger := filepath.Dir(file) == badgerDir && slices.Contains([]string{".sst", ".mem", ""}, filepath.Ext(file))
	return file == journal.MarkName || filepath.Dir(file) == blocksDir || inBadger && !strings.HasSuffix(file, lockFile) && !strings.HasSuffix(file, "DISCARD")
}

// fileCases removes, cuts off, and flips bits where the file holds something.
func fileCases(random *rand.Rand, content []byte, flips int) []damage {
	cases := []damage{{Kind: "gone"}}
	used := len(bytes.TrimRight(content, "\x00"))
	if used == 0 {
		return cases
	}
	sizes := []int{0, used / 2, used - 1}
	cases = append(cases, damage{Kind: "cut", At: int64(sizes[random.IntN(len(sizes))])})
	for range flips {
		at := random.IntN(used)
		for content[at] == 0 {
			at = random.IntN(used)
		}
		cases = append(cases, damage{Kind: "flip", At: int64(at), Bit: random.IntN(8)})
	}
	return cases
}

// run suffers the cases from next on in a child, and returns the first that it did not come to.
func (d *damageTest) run(next int) int {
	out, err := childCommand(d.t, childDir+"="+d.dir, fmt.Sprintf("%s=%d", childRound, next)).CombinedOutput()
	done := len(d.outcomes())
	if err == nil && done == len(d.cases) {
		return done
	}
	d.t.Errorf("%v\n%s", err, lastLines(out, 40))
	if done < len(d.cases) {
		d.t.Errorf("%v: the process died", d.cases[done])
		d.note(deadly)
		done++
	}
	return done
}

func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (d *damageTest) note(outcome string) {
	d.t.Helper()
	f, err := os.OpenFile(d.path("outcomes"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	d.orFatal(err)
	_, err = fmt.Fprintln(f, outcome)
	d.orFatal(errors.Join(err, f.Close()))
}

func (d *damageTest) outcomes() []string {
	b, err := os.ReadFile(d.path("outcomes"))
	if !errors.Is(err, fs.ErrNotExist) {
		d.orFatal(err)
	}
	return strings.Fields(string(b))
}

// logTally tells what became of the damage to each kind of file.
func (d *damageTest) logTally() {
	kinds := map[string]map[string]int{}
	for i, outcome := range d.outcomes() {
		kind := kindOf(d.cases[i].File)
		if kinds[kind] == nil {
			kinds[kind] = map[string]int{}
		}
		kinds[kind][outcome]++
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		d.t.Logf("%-20s %v", kind, kinds[kind])
	}
}

func kindOf(file string) string {
	dir, name := filepath.Split(file)
	if dir = strings.SplitN(dir, "/", 2)[0]; dir == filtersDir {
		name = strings.SplitN(name, "-", 2)[0]
	}
	return dir + "/" + cmp.Or(filepath.Ext(name), name)
}

// suffer is the child's part.
func (d *damageTest) suffer(first int) {
	d.load("cases", &d.cases)
	for _, c := range d.cases[first:] {
		copyTree(d.t, d.store(c.Base), d.path("damaged"))
		d.orFatal(c.do(d.path("damaged")))
		d.note(d.check(c))
		d.orFatal(os.RemoveAll(d.path("damaged")))
	}
}

func (c damage) do(dir string) error {
	path := filepath.Join(dir, c.File)
	switch c.Kind {
	case "gone":
		return os.Remove(path)
	case "cut":
		return os.Truncate(path, c.At)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, c.At); err != nil {
		return err
	}
	b[0] ^= 1 << c.Bit
	_, err = f.WriteAt(b, c.At)
	return err
}

// check opens the damaged store twice and asks for every number.
func (d *damageTest) check(c damage) string {
	outcome := harmless
	for time := range 2 {
		s, err := Open(d.path("damaged"), d.options())
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				d.t.Errorf("%v: open %d: %v, want ErrDamaged", c, time, err)
			}
			return refused
		}
		d.wantNoAllow(c, s)
		settle(d.t, s)
		d.wantNoAllow(c, s)
		d.wantGrantsSound(c, s)
		d.wantSubscribersSound(c, s)
		cause := s.State().Cause
		if cause != nil {
			outcome = detected
		}
		if err := s.Close(); err != nil && cause == nil {
			d.t.Errorf("%v: close %d: %v", c, time, err)
		}
	}
	return outcome
}

// wantNoAllow wants BLOCK for every number that was opted out or listed, or doubt from a store that says it is damaged.
func (d *damageTest) wantNoAllow(c damage, s *Store) {
	numbers := make([]phone.Number, 0, damageOptOuts)
	for i := range damageOptOuts {
		numbers = append(numbers, damagedOptOut(i))
	}
	for i, n := range damagedListed() {
		if i%5 == 0 {
			numbers = append(numbers, phone.Number(n))
		}
	}
	allowed, unknown := 0, 0
	for _, n := range numbers {
		switch verdict(s.View(), n, "acme", s.Now()).Verdict {
		case policy.Block:
		case policy.Unknown:
			unknown++
		default:
			allowed++
		}
	}
	if allowed > 0 {
		d.t.Errorf("%v: ALLOW for %d numbers of %d, state %v", c, allowed, len(numbers), s.State().Cause)
	}
	if cause := s.State().Cause; unknown > 0 && !errors.Is(cause, ErrDamaged) {
		d.t.Errorf("%v: UNKNOWN for %d numbers of a store in state %v", c, unknown, cause)
	}
}

// wantGrantsSound wants the grants that were made and not revoked, or some that were made from a store that says that it is
// damaged.
func (d *damageTest) wantGrantsSound(c damage, s *Store) {
	whole := !errors.Is(s.State().Cause, ErrDamaged)
	for _, g := range s.View().Access().All() {
		if g.Secret != access.SecretOf(g.Name) || g.Roles != access.RolesOf(access.Checker) {
			d.t.Errorf("%v: got the grant %+v, which nobody made", c, g)
		}
	}
	if got, want := grantNames(s), []string{"early", "late"}; whole && !slices.Equal(got, want) {
		d.t.Errorf("%v: granted: got %v, want %v, or damage", c, got, want)
	}
}

// wantSubscribersSound wants the subscribers and desks that were registered and not removed, or some that were registered from a
// store that says that it is damaged.
func (d *damageTest) wantSubscribersSound(c damage, s *Store) {
	var got []string
	for _, one := range s.View().Subscribers().All() {
		got = append(got, one.Name)
	}
	for _, desk := range s.View().Desks().All() {
		got = append(got, desk.Name)
	}
	made := []string{"early", "late", "removed", "Early", "Late"}
	if slices.ContainsFunc(got, func(name string) bool { return !slices.Contains(made, name) }) {
		d.t.Errorf("%v: got subscribers and desks %q, want none that nobody registered", c, got)
	}
	whole := !errors.Is(s.State().Cause, ErrDamaged)
	if want := []string{"early", "late", "Early", "Late"}; whole && !slices.Equal(got, want) {
		d.t.Errorf("%v: got subscribers and desks %q, want %q, or damage", c, got, want)
	}
}

// A write that waits behind one that meets damage is refused, not forgotten.
func TestDamageAnswersEveryWaitingWrite(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	optOut(t, s, n, "acme")
	txn := s.db.NewTransactionAt(1, true)
	if err := errors.Join(txn.Set(keys.Records(uint64(n)), []byte("unsealed")), txn.CommitAt(1, nil)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answers := make(chan error, 3)
	s.between(func() {
		for i := range cap(answers) {
			go func() {
				_, err := s.RecordOptOut(ctx, OptOut{Number: fiction(415, 1+i), Scope: "acme"}, Request{})
				answers <- err
			}()
			for len(s.queue) <= i {
				time.Sleep(time.Millisecond)
			}
		}
	})
	for range cap(answers) {
		if err := <-answers; !errors.Is(err, ErrDamaged) {
			t.Errorf("a write in a damaged store: %v, want ErrDamaged", err)
		}
	}
}
