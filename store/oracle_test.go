package store

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// A universe so small that numbers, scopes and lists meet all the time.
var (
	modelNumbers = []phone.Number{
		fiction(415, 1), fiction(415, 2), fiction(415, 3), fiction(818, 1), fiction(818, 2), fiction(416, 1), 33_199_001_234,
	}
	modelScopes = []policy.Scope{"", "acme", "acme/telecom", "acmeco"}
	modelNames  = []string{"a", "b", "c"}
)

// modelRecord is an opt-out of the model.
type modelRecord struct {
	scope policy.Scope
	ends  time.Time // zero: never
	note  string    // of its story
}

func (r modelRecord) holds(now time.Time) bool { return r.ends.IsZero() || now.Before(r.ends) }

// modelList is a list of the model.
type modelList struct {
	settings Settings
	loaded   bool
	date     policy.Date
	files    []string // coverage of the files
	covers   []string // effective
	all      bool
	numbers  map[phone.Number]bool
	pending  *modelList // what it becomes when a prepared load ends well
	before   *modelList // what it was just before the load that it shows
}

// modelState is all that the store should know at one revision. A list or a slice in it is never changed, only replaced.
type modelState struct {
	time    time.Time
	records map[phone.Number][]modelRecord // stored, some of them expired
	lists   map[string]*modelList
	history map[phone.Number][]string
}

func (st modelState) clone() modelState {
	st.records, st.lists, st.history = maps.Clone(st.records), maps.Clone(st.lists), maps.Clone(st.history)
	return st
}

// below reports whether scope is at or below outer.
func below(scope, outer policy.Scope) bool {
	return outer == "" || strings.HasPrefix(string(scope)+"/", string(outer)+"/")
}

func inUS(n phone.Number) bool {
	return strings.HasPrefix(n.E164(), "+1") && !strings.HasPrefix(n.E164(), "+1416")
}

// verdict is the model's own reading of the rules, at now, which may be ahead of the clock: an opt-out that expires counts
// by the clock.
func (st modelState) verdict(n phone.Number, caller policy.Scope, now time.Time, ahead time.Duration) (policy.Verdict, policy.Cause) {
	for _, r := range st.records[n] {
		if r.holds(now.Add(-ahead)) && (caller == "" || below(caller, r.scope)) {
			return policy.Block, policy.CauseNone
		}
	}
	worst := policy.CauseNone
	for _, l := range st.lists {
		if caller != "" && !below(caller, l.settings.Scope) {
			continue
		}
		if l.numbers[n] {
			return policy.Block, policy.CauseNone
		}
		if len(l.settings.Jurisdiction) == 0 || inUS(n) {
			worst = max(worst, l.doubt(n, now))
		}
	}
	if worst != policy.CauseNone {
		return policy.Unknown, worst
	}
	return policy.Allow, policy.CauseNone
}

func (l *modelList) doubt(n phone.Number, now time.Time) policy.Cause {
	days := int(now.Sub(time.Unix(0, 0)).Hours() / 24)
	switch {
	case !l.loaded:
		return policy.NotLoaded
	case !l.all && !slices.ContainsFunc(l.covers, func(p string) bool { return strings.HasPrefix(n.E164()[1:], p) }):
		return policy.NotCovered
	case l.settings.MaxAgeDays > 0 && (l.date == 0 || days-int(l.date) > l.settings.MaxAgeDays):
		return policy.StaleList
	}
	return policy.CauseNone
}

// cover works the effective coverage out.
func (l *modelList) cover() {
	declared := l.settings.Coverage
	if len(declared) == 0 {
		declared = l.files
	}
	l.coverHeld(declared)
}

// coverHeld makes the list cover those of the prefixes in which it holds a number; without any, all.
func (l *modelList) coverHeld(prefixes []string) {
	l.all, l.covers = len(prefixes) == 0, nil
	for _, p := range prefixes {
		for n := range l.numbers {
			if strings.HasPrefix(n.E164()[1:], p) {
				l.covers = append(l.covers, p)
				break
			}
		}
	}
}

func (l *modelList) sorted() []uint64 { return digits(slices.Sorted(maps.Keys(l.numbers))...) }

// load is the list after a load, and whether anything at all changes.
func (l *modelList) load(mode Mode, numbers []phone.Number, c Commit) (after *modelList, changes bool) {
	next := *l
	next.pending, next.numbers = nil, map[phone.Number]bool{}
	if mode != Replace && l.loaded {
		next.numbers = maps.Clone(l.numbers)
	}
	for _, n := range numbers {
		if mode == Remove {
			delete(next.numbers, n)
		} else {
			next.numbers[n] = true
		}
	}
	if mode == Replace || !l.loaded {
		next.date, next.files = c.SnapshotDate, c.FileCoverage
		next.cover()
	}
	next.loaded = true
	if changes = !l.loaded || !maps.Equal(l.numbers, next.numbers); changes {
		next.before = l
	}
	return &next, changes
}

// reverted is the list after a revert; nil: there is nothing to go back to.
func (l *modelList) reverted() *modelList {
	if !l.loaded || !l.before.loaded {
		return nil
	}
	next := *l.before
	next.settings, next.before, next.pending = l.settings, l, nil
	declared := l.settings.Coverage
	switch then := l.before.covers; {
	case l.before.all:
		next.coverHeld(declared)
	case len(declared) > 0:
		next.coverHeld(slices.DeleteFunc(slices.Concat(then, declared), func(p string) bool {
			return !anyBegins(p, then) || !anyBegins(p, declared)
		}))
		next.all = false
	}
	return &next
}

// anyBegins reports that one of the prefixes begins p.
func anyBegins(p string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(q string) bool { return strings.HasPrefix(p, q) })
}
