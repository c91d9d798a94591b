package store

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// Settings is what a person says of a list.
type Settings struct {
	Kind         policy.ListKind
	Scope        policy.Scope
	Jurisdiction []string // region codes, e.g. US; empty: everywhere; a registry must name one
	Coverage     []string // prefixes, calling code first, e.g. 1415; empty: not declared
	MaxAgeDays   int      // 0: no limit
}

// Limits of settings.
const (
	MaxCoverage     = 10_000
	MaxJurisdiction = 250
	MaxAgeDays      = 3660
)

// List is a list as one view has it. It never changes.
type List struct {
	policy.List
	ID              policy.EventID
	Settings        Settings
	ContentRevision uint64 // timestamp of its content; 0: never loaded
	Pending         uint64 // a load that is prepared and not switched; 0: none
	Numbers         uint64
	Coverage        []string // effective; nil with CoversAll
	CoversAll       bool
	CreatedAt       time.Time
	UpdatedAt       time.Time
	UpdatedRevision uint64

	state    *storev1.ListState
	coverage phone.PrefixSet
	filter   *filter.Set // of ContentRevision; nil: not there yet, look in the store
}

// compileList makes the value that checks read from the stored state of a list.
func compileList(id policy.EventID, st *storev1.ListState) (*List, error) {
	settings := settingsOf(st.GetSettings())
	jurisdiction, err := settings.regions()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	prefixes, err := parsePrefixes(st.GetLoad().GetEffectiveCoverage())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return &List{
		List: policy.List{
			Name:         st.GetName(),
			Kind:         settings.Kind,
			Scope:        settings.Scope,
			Jurisdiction: jurisdiction,
			Loaded:       st.GetVisible() != 0,
			SnapshotDate: policy.Date(st.GetLoad().GetSnapshotDate()),
			MaxAgeDays:   settings.MaxAgeDays,
		},
		ID:              id,
		Settings:        settings,
		ContentRevision: st.GetVisible(),
		Pending:         st.GetPending(),
		Numbers:         st.GetLoad().GetNumbers(),
		Coverage:        st.GetLoad().GetEffectiveCoverage(),
		CoversAll:       st.GetLoad().GetCoversAll(),
		CreatedAt:       state.Time(st.GetCreatedTime()),
		UpdatedAt:       state.Time(st.GetUpdatedTime()),
		UpdatedRevision: st.GetUpdatedRevision(),
		state:           st,
		coverage:        phone.NewPrefixSet(prefixes),
	}, nil
}

// ContentSHA256 is the SHA-256 of the list's numbers, coded as in an export; nil: not known.
func (l *List) ContentSHA256() []byte { return l.state.GetLoad().GetResult() }

// covers reports whether the list, as loaded, speaks about n.
func (l *List) covers(n phone.Number) bool {
	if l.CoversAll {
		return true
	}
	_, ok := l.coverage.Match(n)
	return ok
}

// isStaleOf reports whether the list would be past its max age at now if its snapshot were of that date.
func (l *List) isStaleOf(date policy.Date, now time.Time) bool {
	dated := l.List
	dated.SnapshotDate = date
	return dated.IsStale(now)
}

// FilterStats describes one filter.
type FilterStats struct {
	Ready   bool // false: being built; checks read the store
	Numbers uint64
	Bytes   uint64
	Fill    float64 // 1: as many numbers as it was made for
	Chain   int     // longest chain of partitions

	set *filter.Set
}

// FilterStats describes the list's filter.
func (l *List) FilterStats() FilterStats { return filterStats(l.filter) }

func filterStats(f *filter.Set) FilterStats {
	if f == nil {
		return FilterStats{}
	}
	return FilterStats{
		Ready: true, Numbers: f.Len(), Bytes: f.Bytes(), Fill: f.Fill(), Chain: f.Chain(), set: f,
	}
}

// fprProbes is enough to measure a rate of 0.001 to within a quarter.
const fprProbes = 1 << 14

// FPR measures the share of numbers that the filter does not hold to which it says "perhaps": it tests numbers longer
// than any number has. That takes about a millisecond. 1 when the filter is not ready.
func (f FilterStats) FPR() float64 {
	perhaps := 0
	for i := range uint64(fprProbes) {
		if f.set.Test(maxE164 + 1 + i*7919) {
			perhaps++
		}
	}
	return float64(perhaps) / fprProbes
}

// maxE164 is the largest number of 15 digits.
const maxE164 = 999_999_999_999_999

func settingsOf(m *storev1.ListSettings) Settings {
	return Settings{
		Kind:         policy.ListKind(m.GetKind()),
		Scope:        policy.Scope(m.GetScope()),
		Jurisdiction: m.GetJurisdiction(),
		Coverage:     m.GetCoverage(),
		MaxAgeDays:   int(m.GetMaxAgeDays()),
	}
}

func (s Settings) message() *storev1.ListSettings {
	return &storev1.ListSettings{
		Kind:         uint32(s.Kind),
		Scope:        string(s.Scope),
		Jurisdiction: s.Jurisdiction,
		Coverage:     s.Coverage,
		MaxAgeDays:   uint32(s.MaxAgeDays),
	}
}

func (s Settings) regions() (phone.RegionSet, error) {
	var all phone.RegionSet
	for _, code := range s.Jurisdiction {
		set, err := phone.Jurisdiction(code)
		if err != nil {
			return phone.RegionSet{}, fmt.Errorf("jurisdiction: %w", err)
		}
		all = all.Union(set)
	}
	return all, nil
}

// check returns ErrSettings with what is wrong, and puts jurisdiction and coverage in order.
func (s *Settings) check() error {
	if s.Kind < policy.ListRegistry || s.Kind > policy.ListLitigator {
		return fmt.Errorf("%w: kind must be registry, suppression or litigator", ErrSettings)
	}
	if s.Kind == policy.ListRegistry && len(s.Jurisdiction) == 0 {
		return ErrJurisdiction
	}
	if len(s.Jurisdiction) > MaxJurisdiction || len(s.Coverage) > MaxCoverage {
		return fmt.Errorf("%w: at most %d regions and %d prefixes", ErrSettings, MaxJurisdiction, MaxCoverage)
	}
	if s.MaxAgeDays < 0 || s.MaxAgeDays > MaxAgeDays {
		return fmt.Errorf("%w: max age must be 0 to %d days", ErrSettings, MaxAgeDays)
	}
	if _, err := s.regions(); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	prefixes, err := parsePrefixes(s.Coverage)
	if err != nil {
		return fmt.Errorf("%w: coverage: %w", ErrSettings, err)
	}
	s.Coverage = prefixStrings(prefixes)
	s.Jurisdiction = slices.Compact(slices.Sorted(slices.Values(s.Jurisdiction)))
	return nil
}

func parsePrefixes(list []string) ([]phone.Prefix, error) {
	prefixes := make([]phone.Prefix, 0, len(list))
	for _, p := range list {
		prefix, err := phone.ParsePrefix(p)
		if err != nil {
			return nil, err
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// phonePrefixes parses prefixes that were checked before.
func phonePrefixes(list []string) []phone.Prefix {
	prefixes, err := parsePrefixes(list)
	if err != nil {
		return nil
	}
	return prefixes
}

func prefixStrings(prefixes []phone.Prefix) []string {
	out := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// CheckListName returns ErrListName unless name is one: see policy.IsName.
func CheckListName(name string) error {
	if !policy.IsName(name) {
		return ErrListName
	}
	return nil
}

func byName(a, b *List) int { return cmp.Compare(a.Name, b.Name) }
