package store

import (
	"fmt"
	"slices"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/compare"
)

// Guards are the limits beyond which a load is refused, as shares from 0 to 1. Negative: off.
type Guards struct {
	MaxShrink  float64 // of the whole list, and of each covered prefix
	MaxRejects float64 // of the entries read
}

// Guard names what can refuse a load.
type Guard uint8

// The guards; the numbers are stored.
const (
	GuardUnspecified  Guard = iota
	GuardEmpty              // not one number accepted; cannot be overridden
	GuardShrink             // the list would lose too many numbers
	GuardPrefixShrink       // a covered prefix would
	GuardRejects            // too many entries were rejected
	GuardOlder              // the snapshot is older than the list's
	GuardCoverage           // more numbers would be outside the coverage than now
	GuardCut                // files end inside a line
	GuardWider              // the list would cover its whole jurisdiction, although no coverage is declared
	GuardInferred           // the list would cover more only because it has numbers there
	GuardLifts              // consents would lift opt-outs
)

// GuardFailure is a guard that failed, with its figures.
type GuardFailure struct {
	Guard         Guard
	Prefix        string   // of GuardPrefixShrink
	Outside       []string // of GuardCoverage: the first digits of some numbers outside; of GuardWider: some prefixes covered now; of GuardInferred: some that would be, that with the fewest numbers first
	Before, After uint64   // numbers; of GuardRejects: entries read and rejected; of GuardCoverage: of the list, and those outside; of GuardCut: files, and those cut; of GuardWider: prefixes covered now, and 0; of GuardInferred: prefixes, and numbers in the first; of GuardLifts: consents, and those that would lift an opt-out
	Limit         float64
	From, To      policy.Date // of GuardOlder: the list's date and the load's
	Overridden    bool
}

// maxGuardFailures bounds what is reported; the prefixes that lose most go first.
const maxGuardFailures = 1000

// plan is how a load is taken, given the list as it is.
type plan struct {
	mode     Mode
	covers   bool        // it moves the coverage
	date     policy.Date // of the list afterwards
	dated    policy.Date // the load's own, to compare with the list's; zero: none
	coverage []string    // candidates for the effective coverage
	all      bool        // nothing limits the coverage
	inferred []string    // those of coverage that no file is named for
	prefixes []phone.Prefix
	past     *storev1.Load // of a revert: the load to go back to, with reverted_to set
	shown    []string      // the first digits of some numbers outside the coverage, of those that would be more than now
}

// plan works out mode, date and coverage. Errors: ErrSnapshotDate, ErrSnapshotDateRequired, ErrMode, ErrNothingToRevert.
func (i *Import) plan(l *List, c *Commit) (*plan, error) {
	if i.header.Mode == Revert {
		return i.s.planRevert(l)
	}
	p := &plan{mode: i.header.Mode, covers: i.header.Mode == Replace || !l.Loaded, date: l.SnapshotDate}
	if !l.Loaded && (p.mode == Remove || p.mode == Delta) {
		return nil, fmt.Errorf("%w: a list that was never loaded has nothing to remove", ErrMode)
	}
	if !l.Loaded {
		p.mode = Replace
	}
	if p.covers || p.mode == Delta {
		p.dated = c.SnapshotDate
		if p.covers || p.dated != 0 {
			p.date = p.dated
		}
	}
	if err := i.s.checkDate(l, i.header.Mode, c.SnapshotDate); err != nil {
		return nil, err
	}
	p.coverage = l.Settings.Coverage
	if len(p.coverage) == 0 && p.covers {
		p.coverage, p.inferred = c.FileCoverage, c.Inferred
	}
	p.all = len(p.coverage) == 0
	if !p.covers && len(p.coverage) == 0 {
		p.coverage = l.Coverage // as the files' names said it: it stays, and the load is compared with it
	}
	p.prefixes = phonePrefixes(slices.Concat(p.coverage, l.Coverage))
	return p, nil
}

// CheckDate checks a date before the upload, so that the commit is not refused for it. Errors: ErrListNotFound,
// ErrSnapshotDate, ErrSnapshotDateRequired.
func (s *Store) CheckDate(list string, m Mode, date policy.Date) error {
	l, err := s.View().List(list)
	if err != nil {
		return err
	}
	return s.checkDate(l, m, date)
}

// checkDate refuses a date that is more than a day ahead, and a load without one that gives a list with a max age its date.
func (s *Store) checkDate(l *List, m Mode, date policy.Date) error {
	if date == 0 && l.MaxAgeDays > 0 && (m == Replace || m == Delta || !l.Loaded) {
		return ErrSnapshotDateRequired
	}
	if date > policy.DateOf(s.Now())+1 {
		return fmt.Errorf("%w: %s is more than a day ahead", ErrSnapshotDate, date)
	}
	return nil
}

// load is what the journal keeps of the import.
func (p *plan) load(i *Import, l *List, c *Commit, staged content, cmp *compare.Comparison) *storev1.Load {
	load := &storev1.Load{
		ImportId: i.id,
		Mode:     storev1.LoadMode(p.mode),
		Sources:  sourceMessages(c.Sources),
		Digest:   c.Digest,
		Content:  staged.sha[:],
		Result:   cmp.Result,
		Numbers:  cmp.Numbers(),
		Counts: &storev1.Counts{
			Read: c.Read, Accepted: staged.numbers, Duplicates: staged.duplicates, Rejected: c.Rejected,
			Added: cmp.Added, Removed: cmp.Removed, Unchanged: cmp.Unchanged, Empty: c.Empty, Rows: c.Rows,
		},
		Outside:      &cmp.Outside,
		SnapshotDate: int32(p.date),
		FileCoverage: prefixStrings(phonePrefixes(c.FileCoverage)),
		RevertedTo:   p.past.GetRevertedTo(),
		Rejects:      tallyMessages(c.Rejects),
	}
	if p.past != nil {
		load.Content = nil // it is in the blocks
		load.FileCoverage = p.past.GetFileCoverage()
	}
	p.cover(load, cmp, l)
	return load
}

// guard evaluates every guard and returns those that fail.
func guard(l *List, h Header, c *Commit, p *plan, cmp *compare.Comparison, accepted uint64) []GuardFailure {
	var failures []GuardFailure
	fail := func(f GuardFailure) {
		f.Overridden = h.Override && f.Guard != GuardEmpty
		failures = append(failures, f)
	}
	if accepted == 0 && h.Mode != Revert { // what the list was has no file to look at
		fail(GuardFailure{Guard: GuardEmpty, Before: c.Read})
	}
	if shrinks(cmp.Before(), cmp.Numbers(), h.Guards.MaxShrink) {
		fail(GuardFailure{Guard: GuardShrink, Before: cmp.Before(), After: cmp.Numbers(), Limit: h.Guards.MaxShrink})
	}
	if held := c.Read - c.Empty; h.Guards.MaxRejects >= 0 && float64(c.Rejected) > h.Guards.MaxRejects*float64(held) {
		fail(GuardFailure{Guard: GuardRejects, Before: held, After: c.Rejected, Limit: h.Guards.MaxRejects})
	}
	if c.CutFiles > 0 {
		fail(cutFailure(c.Sources, c.CutFiles))
	}
	if p.dated != 0 && p.dated < l.SnapshotDate {
		fail(GuardFailure{Guard: GuardOlder, From: l.SnapshotDate, To: p.dated})
	}
	if p.widens(l) {
		fail(GuardFailure{Guard: GuardWider, Before: uint64(len(l.Coverage)), Outside: l.Coverage[:min(shownOutside, len(l.Coverage))]})
	}
	if thin := p.newlyInferred(l, cmp); len(thin) > 0 {
		fail(inferredFailure(thin))
	}
	if before, after := p.outside(l, cmp); after > before {
		fail(GuardFailure{Guard: GuardCoverage, Before: cmp.Numbers(), After: after, Outside: p.shown})
	}
	for _, x := range slices.SortedFunc(slices.Values(cmp.Prefixes), compare.ByLoss) {
		if shrinks(x.Before, x.After, h.Guards.MaxShrink) && len(failures) < maxGuardFailures {
			fail(GuardFailure{Guard: GuardPrefixShrink, Prefix: x.Prefix, Before: x.Before, After: x.After, Limit: h.Guards.MaxShrink})
		}
	}
	return failures
}

// cutFailure says that some files end inside a line: what would follow is not known.
func cutFailure(files []Source, cut uint32) GuardFailure {
	return GuardFailure{Guard: GuardCut, Before: uint64(len(files)), After: uint64(cut)}
}

// shrinks reports a loss beyond the share max. A set that becomes empty always shrinks too far, unless the guard is off.
func shrinks(before, after uint64, maxShare float64) bool {
	if maxShare < 0 || after >= before {
		return false
	}
	return after == 0 || float64(before-after) > maxShare*float64(before)
}

func refuses(failures []GuardFailure, override bool) bool {
	return slices.ContainsFunc(failures, func(f GuardFailure) bool { return !override || f.Guard == GuardEmpty })
}
