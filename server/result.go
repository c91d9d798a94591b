package server

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// resultMessage is the outcome of a load, on the wire.
func resultMessage(r *store.Result) *dncv1.ImportResult {
	m := &dncv1.ImportResult{
		ImportId:      r.ImportID,
		Refused:       r.Refused,
		DryRun:        r.DryRun,
		AlreadyLoaded: r.AlreadyLoaded,
		Read:          r.Read,
		Accepted:      r.Accepted,
		Duplicates:    r.Duplicates,
		Rejected:      r.Rejected,
		Empty:         r.Empty,
		Rows:          r.Rows,
		Added:         r.Added,
		Removed:       r.Removed,
		Unchanged:     r.Unchanged,
		Numbers:       r.Numbers,
		Position:      positionAt(r.Receipt),
		SnapshotDate:  r.SnapshotDate.String(),
		ContentSha256: r.ContentSHA256,
		Elapsed:       durationpb.New(r.Elapsed),

		OutsideJurisdiction: r.Outside,
		Stale:               r.Stale,
	}
	for i := range r.GuardFailures {
		m.GuardFailures = append(m.GuardFailures, guardFailure(&r.GuardFailures[i]))
	}
	return m
}

var guardsByStore = map[store.Guard]dncv1.ImportGuard{
	store.GuardEmpty:        dncv1.ImportGuard_IMPORT_GUARD_NOTHING_ACCEPTED,
	store.GuardShrink:       dncv1.ImportGuard_IMPORT_GUARD_SHRINK,
	store.GuardPrefixShrink: dncv1.ImportGuard_IMPORT_GUARD_PREFIX_SHRINK,
	store.GuardRejects:      dncv1.ImportGuard_IMPORT_GUARD_REJECTS,
	store.GuardOlder:        dncv1.ImportGuard_IMPORT_GUARD_SNAPSHOT_OLDER,
	store.GuardCoverage:     dncv1.ImportGuard_IMPORT_GUARD_COVERAGE,
	store.GuardCut:          dncv1.ImportGuard_IMPORT_GUARD_CUT,
	store.GuardWider:        dncv1.ImportGuard_IMPORT_GUARD_COVERAGE_WIDER,
	store.GuardInferred:     dncv1.ImportGuard_IMPORT_GUARD_COVERAGE_INFERRED,
	store.GuardLifts:        dncv1.ImportGuard_IMPORT_GUARD_LIFTS_OPT_OUTS,
}

func guardFailure(f *store.GuardFailure) *dncv1.GuardFailure {
	prefix := f.Prefix
	if len(f.Outside) > 0 {
		prefix = f.Outside[0]
	}
	return &dncv1.GuardFailure{
		Guard:      guardsByStore[f.Guard],
		Prefix:     prefix,
		Message:    guardMessage(f),
		Before:     f.Before,
		After:      f.After,
		Limit:      f.Limit,
		Overridden: f.Overridden,
	}
}

func guardMessage(f *store.GuardFailure) string {
	switch f.Guard {
	case store.GuardEmpty:
		return "not one number was accepted: check the file's format, column and region"
	case store.GuardShrink:
		if f.After == 0 {
			return fmt.Sprintf("the list would lose all of its %d numbers: check that all of its files are there", f.Before)
		}
		return fmt.Sprintf("the list would shrink from %d to %d numbers, by more than %s: check that all of its files are there",
			f.Before, f.After, percent(f.Limit))
	case store.GuardPrefixShrink:
		if f.After == 0 {
			return fmt.Sprintf("prefix %s would lose all of its %d numbers: check that its file is there and whole", f.Prefix, f.Before)
		}
		return fmt.Sprintf("prefix %s would shrink from %d to %d numbers, by more than %s: check that its file is there and whole",
			f.Prefix, f.Before, f.After, percent(f.Limit))
	case store.GuardRejects:
		return fmt.Sprintf("%d of %d entries were rejected, more than %s: look at the rejects", f.After, f.Before, percent(f.Limit))
	case store.GuardOlder:
		return fmt.Sprintf("the load of %s is older than the list of %s: check that it is the newest file", f.To, f.From)
	case store.GuardCoverage:
		return fmt.Sprintf("%d of %d numbers would be outside the list's coverage, such as those in %s: "+
			"check that these are its files, or change its coverage", f.After, f.Before, strings.Join(f.Outside, ", "))
	case store.GuardWider:
		return fmt.Sprintf("the list covers %s and would cover its whole jurisdiction, since these files do not say what they hold: "+
			"name them as the registry does, or declare the list's coverage", coveredNow(f))
	case store.GuardInferred:
		return fmt.Sprintf("no file is named for %s: the list would cover it because of %s in it%s: "+
			"leave them out, name the files as the registry does, or declare the list's coverage", f.Outside[0], numbers(f.After), likewise(f))
	case store.GuardLifts:
		return fmt.Sprintf("%d of %d consents would lift an opt-out that is older: an officer decides whether they do; otherwise they are recorded and lift none",
			f.After, f.Before)
	case store.GuardCut:
		if f.After == 1 {
			return "1 file ends inside a line: fetch it again"
		}
		return fmt.Sprintf("%d files end inside a line: fetch them again", f.After)
	}
	return "refused"
}

// coveredNow names some of the prefixes that a list covers, and says how many there are.
func coveredNow(f *store.GuardFailure) string {
	if len(f.Outside) == 0 {
		return "no prefix"
	}
	text := strings.Join(f.Outside, ", ")
	if more := f.Before - uint64(len(f.Outside)); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// likewise names the other prefixes that are outside the coverage.
func likewise(f *store.GuardFailure) string {
	more := f.Outside[1:]
	if len(more) == 0 {
		return ""
	}
	text := strings.Join(more, ", ")
	if rest := f.Before - uint64(len(f.Outside)); rest > 0 {
		text += fmt.Sprintf(" and %d others", rest)
	}
	return ", and likewise " + text
}

func numbers(n uint64) string {
	if n == 1 {
		return "1 number"
	}
	return fmt.Sprintf("%d numbers", n)
}

func percent(ratio float64) string { return fmt.Sprintf("%.4g %%", 100*ratio) }
