package store

import (
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// guardsNumbers reports that numbers may become callable when the list is deleted.
func (l *List) guardsNumbers() bool { return l.Kind == policy.ListRegistry || l.wasLoaded() }

// wasLoaded reports that the list holds content, or held some that was found damaged.
func (l *List) wasLoaded() bool { return l.state.GetLoad() != nil }

// freedBy says why numbers that the list blocks or leaves in doubt now would be callable with other settings and the
// coverage that these give; empty: none would be. A list that was never loaded clears no number, so its settings are free.
func (l *List) freedBy(to Settings, covered []string, all bool, now time.Time) string {
	if !l.wasLoaded() {
		return ""
	}
	regions, err := to.regions()
	if err != nil { // checked before
		return ""
	}
	aged := l.List
	aged.MaxAgeDays = to.MaxAgeDays
	switch {
	case !regions.IsEmpty() && (l.Jurisdiction.IsEmpty() || l.Jurisdiction.Union(regions) != regions):
		return "gives up a region, where it leaves no number in doubt any more"
	case l.widensTo(covered, all):
		return "covers more, where numbers that are not on it are in doubt now"
	case l.IsStale(now) && !aged.IsStale(now):
		return "is older than its max age, and would clear numbers again"
	}
	return ""
}

// widensTo reports that a coverage includes prefixes which the list does not cover now.
func (l *List) widensTo(covered []string, all bool) bool {
	if !l.Loaded || l.CoversAll {
		return false
	}
	return all || len(within(phonePrefixes(covered), phonePrefixes(l.Coverage))) < len(covered)
}
