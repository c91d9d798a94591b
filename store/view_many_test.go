package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/keys"
)

// wantManyAsLookup checks that LookupMany finds of each number what Lookup finds, and that the same is decided.
func wantManyAsLookup(t interface {
	Helper()
	Fatalf(string, ...any)
}, v *View, numbers []phone.Number, scope policy.Scope, now time.Time, many *Findings) map[policy.Verdict]int {
	t.Helper()
	verdicts := map[policy.Verdict]int{}
	v.LookupMany(numbers, Call{Scope: scope}, many)
	if len(many.At) != len(numbers) {
		t.Fatalf("%d places for %d numbers", len(many.At), len(numbers))
	}
	for i, n := range numbers {
		if n == 0 {
			if many.At[i] != NoFacts {
				t.Fatalf("number %d is none, and has facts", i)
			}
			continue
		}
		got, want := &many.Facts[many.At[i]], &policy.Facts{Scope: scope}
		v.Lookup(n, want)
		if got.Place.Subdivision != want.Place.Subdivision || !slices.Equal(got.Place.Zones, want.Place.Zones) {
			t.Fatalf("%s: LookupMany finds the clocks %v, Lookup %v", n.E164(), got.Place, want.Place)
		}
		if got.Scope != want.Scope || got.Damaged != want.Damaged || !slices.Equal(got.Records, want.Records) || !slices.Equal(got.Lists, want.Lists) {
			t.Fatalf("%s at scope %q: LookupMany finds\n%+v, Lookup\n%+v", n.E164(), scope, got, want)
		}
		gotDecision, wantDecision := policy.Decide(got, v.Policy(), now), policy.Decide(want, v.Policy(), now)
		if !gotDecision.OpensAt.Equal(wantDecision.OpensAt) || gotDecision.Verdict != wantDecision.Verdict || gotDecision.Cause != wantDecision.Cause || !gotDecision.ValidUntil.Equal(wantDecision.ValidUntil) {
			t.Fatalf("%s at scope %q: LookupMany leads to %+v, Lookup to %+v", n.E164(), scope, gotDecision, wantDecision)
		}
		verdicts[gotDecision.Verdict]++
	}
	return verdicts
}

// variousLists are lists of every kind, scope, jurisdiction, coverage and age, one never loaded.
func variousLists(t *testing.T, s *Store, r *rand.Rand, lists int) {
	t.Helper()
	kinds := []policy.ListKind{policy.ListRegistry, policy.ListSuppression, policy.ListLitigator}
	for i := range lists {
		settings := Settings{Kind: kinds[i%3], Scope: modelScopes[r.IntN(len(modelScopes))], MaxAgeDays: []int{0, 2, 400}[r.IntN(3)]}
		if settings.Kind == policy.ListRegistry || i%4 == 0 {
			settings.Jurisdiction = [][]string{{"US"}, {"CA"}, {"US", "FR"}, {"GB"}}[r.IntN(4)]
		}
		if i%2 == 0 {
			settings.Coverage = [][]string{{"1415", "1416"}, {"1", "33"}, {"14155", "44"}}[r.IntN(3)]
		}
		name := fmt.Sprintf("list-%d", i)
		createList(t, s, name, settings)
		if i == 1 {
			continue // never loaded
		}
		numbers := variousNumbers(r, 600)
		if len(settings.Coverage) > 0 { // a load outside it is refused
			numbers = slices.DeleteFunc(numbers, func(n phone.Number) bool {
				return !slices.ContainsFunc(settings.Coverage, func(p string) bool { return strings.HasPrefix(n.E164(), "+"+p) })
			})
		}
		slices.Sort(numbers)
		load(t, s, name, Replace, digits(slices.Compact(numbers)...), Commit{SnapshotDate: policy.DateOf(s.Now()) - policy.Date(r.IntN(5))})
		if !listOf(t, s, name).Loaded {
			t.Fatalf("%s was not loaded", name)
		}
	}
}

// variousNumbers are few enough to meet each other, of several regions, some beside each other in a block.
func variousNumbers(r *rand.Rand, count int) []phone.Number {
	from := []uint64{14155550000, 14165550000, 12425550000, 33199000000, 442079460000, 447700900000, 390612345000, 18005550000}
	numbers := make([]phone.Number, count)
	for i := range numbers {
		numbers[i] = phone.Number(from[r.IntN(len(from))] + r.Uint64N(400))
	}
	return numbers
}

func TestLookupManyFindsWhatLookupFinds(t *testing.T) {
	t.Parallel()
	met := map[policy.Verdict]int{}
	for _, lists := range []int{0, 1, 7} {
		t.Run(fmt.Sprint(lists, " lists"), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(lists), 1))
			o := testOptions()
			o.Clock = clockAt(time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC)).now
			s := openWith(t, t.TempDir(), o)
			variousLists(t, s, r, lists)
			old := s.View().Revision()
			for _, n := range variousNumbers(r, 100) {
				o := OptOut{Number: n, Scope: modelScopes[r.IntN(len(modelScopes))], ExpiresAt: s.Now().Add(time.Duration(r.IntN(3)-1) * time.Hour)}
				if _, err := s.RecordOptOut(context.Background(), o, Request{}); err != nil {
					t.Fatal(err)
				}
			}
			past, err := s.ViewAt(old)
			if err != nil {
				t.Fatal(err)
			}
			many := new(Findings)
			for range 10 {
				numbers := variousNumbers(r, r.IntN(1500))
				for range 20 {
					numbers = append(numbers, 0)
				}
				r.Shuffle(len(numbers), func(i, j int) { numbers[i], numbers[j] = numbers[j], numbers[i] })
				for _, scope := range modelScopes {
					for verdict, count := range wantManyAsLookup(t, s.View(), numbers, scope, s.Now(), many) {
						met[verdict] += count
					}
				}
				wantManyAsLookup(t, past, numbers[:min(50, len(numbers))], "acme", s.Now(), many)
			}
		})
	}
	for _, verdict := range []policy.Verdict{policy.Allow, policy.Block, policy.Unknown} {
		if met[verdict] == 0 {
			t.Errorf("no number came to verdict %d: %v", verdict, met)
		}
	}
}

// More lists than fit a word.
func TestLookupManyOfManyLists(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for i := range maxShared + 1 {
		createList(t, s, fmt.Sprintf("list-%02d", i), Settings{Kind: policy.ListSuppression})
	}
	load(t, s, fmt.Sprintf("list-%02d", maxShared), Replace, registryNumbers(100), Commit{})
	numbers := []phone.Number{fiction(201, 1), phone.Number(registryNumbers(1)[0])}
	if met := wantManyAsLookup(t, s.View(), numbers, "", s.Now(), new(Findings)); met[policy.Block] != 1 {
		t.Errorf("verdicts %v, want one BLOCK", met)
	}
}

// Where a filter is not there yet, the store is read.
func TestLookupManyWithoutFilters(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	s := open(t, t.TempDir())
	variousLists(t, s, r, 6)
	optOut(t, s, fiction(415, 1), "acme")
	bare := *s.View()
	bare.records = nil
	bare.lists = slices.Clone(bare.lists)
	for i, l := range bare.lists {
		without := *l
		without.filter = nil
		bare.lists[i] = &without
	}
	numbers := append(variousNumbers(r, 500), fiction(415, 1))
	met := wantManyAsLookup(t, &bare, numbers, "acme", s.Now(), new(Findings))
	with := wantManyAsLookup(t, s.View(), numbers, "acme", s.Now(), new(Findings))
	if fmt.Sprint(met) != fmt.Sprint(with) {
		t.Errorf("verdicts %v without filters, %v with them", met, with)
	}
	bare.records = s.View().records // and a list's entries come from blocks alone
	wantManyAsLookup(t, &bare, numbers, "acme", s.Now(), new(Findings))
}

// Damage is doubt about each number of the batch that is not found, whether it was met before or while looking.
func TestLookupManyDoubtsWhereDamaged(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "sup", Settings{Kind: policy.ListSuppression})
	numbers := registryNumbers(20_000)
	load(t, s, "sup", Replace, numbers, Commit{})
	l := listOf(t, s, "sup")
	overwrite(t, s, keys.Block(l.ID, numbers[0]>>block.Bits), l.ContentRevision)

	batch := []phone.Number{fiction(499, 1), phone.Number(numbers[0]), phone.Number(numbers[10_000])}
	many := new(Findings)
	s.View().LookupMany(batch, Call{}, many)
	for i, want := range []policy.Verdict{policy.Unknown, policy.Unknown, policy.Block} {
		if d := policy.Decide(&many.Facts[many.At[i]], nil, s.Now()); d.Verdict != want {
			t.Errorf("number %d: verdict %d, want %d", i, d.Verdict, want)
		}
	}
	if !errors.Is(s.State().Cause, ErrDamaged) {
		t.Errorf("the store tells of %v, want ErrDamaged", s.State().Cause)
	}
	wantManyAsLookup(t, s.View(), batch, "", s.Now(), many)
}

// A lookup of many numbers allocates for what is found, not for numbers.
func TestLookupManyAllocatesNothingANumber(t *testing.T) {
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	createList(t, s, "b", usRegistry("1201", "1415"))
	held := registryNumbers(20_000)
	load(t, s, "a", Replace, held, Commit{})
	load(t, s, "b", Replace, held[:10], Commit{})
	var numbers []phone.Number
	for _, n := range held[:5000] { // half of them listed
		numbers = append(numbers, phone.Number(n), phone.Number(n+1))
	}
	numbers = slices.DeleteFunc(numbers, func(n phone.Number) bool { return s.View().records.Test(uint64(n)) })
	many := new(Findings)
	s.View().LookupMany(numbers, Call{Scope: "acme"}, many) // blocks come into the cache
	got := testing.AllocsPerRun(20, func() { s.View().LookupMany(numbers, Call{Scope: "acme"}, many) })
	if len(many.Facts) > 8 {
		t.Errorf("%d facts about %d numbers", len(many.Facts), len(numbers))
	}
	if got > 20 {
		t.Errorf("%v allocations for %d numbers", got, len(numbers))
	}
}

// What was used again holds on to no view.
func TestFindingsLetGo(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, registryNumbers(100), Commit{})
	many := new(Findings)
	s.View().LookupMany([]phone.Number{fiction(201, 1), fiction(416, 1)}, Call{}, many)
	many.Reset()
	facts := many.Facts[:cap(many.Facts)]
	if many.view != nil || len(facts) == 0 || cap(many.lists) == 0 {
		t.Fatal("a view is held, or nothing was found")
	}
	for _, f := range facts {
		for _, m := range f.Lists[:cap(f.Lists)] {
			if m.List != nil {
				t.Error("facts hold a list")
			}
		}
	}
	for _, l := range many.lists[:cap(many.lists)] {
		if l != nil {
			t.Error("findings hold a list")
		}
	}
}

func BenchmarkLookupMany(b *testing.B) {
	dir, numbers := b.TempDir(), denseNumbers(*benchNumbers)
	fillList(b, dir, numbers)
	s := open(b, dir)
	listed := shuffled(numbers)
	asked := shuffled(numbers)
	for i := range asked { // one in a hundred listed
		if i%100 > 0 {
			asked[i]++
		}
	}
	const batch = 1000
	many := new(Findings)
	for name, numbers := range map[string][]phone.Number{"OneInAHundred": asked, "Listed": listed} {
		b.Run(name, func(b *testing.B) {
			at := 0
			for b.Loop() {
				s.View().LookupMany(numbers[at:at+batch], Call{Scope: "acme"}, many)
				if at += batch; at+batch > len(numbers) {
					at = 0
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/number")
		})
	}
	closeStore(b, s)
}
