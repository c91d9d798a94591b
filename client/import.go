package client

import (
	"context"
	"encoding/hex"
	"io"
	"iter"
	"time"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// ImportRequest is a load of many numbers into a list.
type ImportRequest struct {
	// List by name. Required.
	List string
	// Mode is ModeReplace when empty. A replace takes all files of the list in one import.
	Mode ImportMode
	// Numbers to load. Required.
	Numbers NumberSource
	// Sources are the files by name, as far as they are known before they are read.
	Sources []ImportSource
	// SnapshotDate of the content, YYYY-MM-DD: the registry's own, never the day of
	// the load. Required for a list with a max age, but in ModeAdd and ModeRemove.
	SnapshotDate string
	// MaxShrink and MaxRejects are the guards' ratios, 0 to 1; nil: the server's
	// defaults, 0.1 and 0.01.
	MaxShrink  *float64
	MaxRejects *float64
	// Override overrides every guard except that of nothing accepted. With Resume, what
	// was sent of an import that a guard refused is not sent again.
	Override bool
	// DryRun compares and guards, and changes nothing.
	DryRun bool
	// TakeOver abandons a load of this list that is prepared and does not end.
	TakeOver bool
	// Resume continues the last Import, of any process, with the same List, Mode,
	// SnapshotDate and names of Sources that did not finish or that a guard refused. If
	// there is none, a new one begins. The numbers are read from the start, in the same
	// order, and what the server already holds is not sent; from the first 64 Ki numbers
	// that differ, everything is sent. If that Import ended while the server was writing
	// it, and the numbers are the same, this one waits for it and returns its result,
	// unless TakeOver abandons it. OnReject is called again for the numbers that the
	// server rejected when they were first sent.
	Resume bool

	// OnResume, if not nil, is called once with the number of numbers that the server
	// already holds from an earlier Import, before others are sent. It is not called if
	// there are none. It is called by the goroutine of Import.
	OnResume func(numbers uint64)
	// OnProgress, if not nil, is called periodically with the import's progress, by one
	// goroutine at a time.
	OnProgress func(Progress)
	// OnReject, if not nil, is called for each number that the server rejects, in the
	// same way as OnProgress.
	OnReject func(ImportReject)
}

// NumberSource yields the numbers of a load. One that is an io.Closer too is closed
// when Import returns.
type NumberSource interface {
	// Next fills batch with numbers, as the digits of E.164 without the plus, and
	// returns how many. After the last it returns 0 and io.EOF. Any other error ends
	// the import: the list stays as it is.
	Next(batch []uint64) (int, error)
	// Summary is asked for once, after io.EOF.
	Summary() SourceSummary
}

// ChangeSource is a NumberSource of a change list, for ModeDelta.
type ChangeSource interface {
	NumberSource
	// NextChanges fills add and remove with numbers that come and go, and returns how
	// many of each. It ends as Next does.
	NextChanges(add, remove []uint64) (added, removed int, err error)
}

// SourceSummary says what was read by the time a NumberSource ended.
type SourceSummary struct {
	// Read counts all entries: those yielded, Rejected ones that are no numbers, and Empty ones.
	Read, Rejected, Empty uint64
	// Rows is how many rows the entries were in; 0: not stated.
	Rows uint64
	// RejectTallies are the rejects by reason, at most 100.
	RejectTallies []RejectTally
	// Sources are the files with their hashes; empty: those of the request.
	Sources []ImportSource
	// Coverage are the prefixes that the files hold in whole; empty: they do not say.
	Coverage []string
	// Inferred are those of Coverage that no file is named for: only numbers in them suggest that the files hold them.
	// Those that are new to the list need Override.
	Inferred []string
	// TruncatedFiles is how many of the files end within a line: the rest is likely missing.
	TruncatedFiles uint32
}

// Progress says how far an import is.
type Progress struct {
	Phase Phase
	// Done numbers in this phase, of Total; 0: not known.
	Done, Total uint64
}

// ImportReject is a number that the server rejected.
type ImportReject struct {
	Number  string
	Reason  string // as in Error
	Message string
}

// ImportResult is what became of a load. Read = Accepted + Duplicates + Rejected + Empty.
type ImportResult struct {
	ImportID string `json:"import_id"`
	// Refused says that a guard failed: nothing changed.
	Refused bool `json:"refused"`
	// GuardFailures are all guards that failed, overridden ones too.
	GuardFailures []GuardFailure `json:"guard_failures"`
	DryRun        bool           `json:"dry_run"`
	// AlreadyLoaded says that no number changed; at most the snapshot date moved on.
	AlreadyLoaded bool   `json:"already_loaded"`
	Read          uint64 `json:"read"`
	Accepted      uint64 `json:"accepted"`
	Duplicates    uint64 `json:"duplicates"`
	Rejected      uint64 `json:"rejected"`
	Added         uint64 `json:"added"`
	Removed       uint64 `json:"removed"`
	Unchanged     uint64 `json:"unchanged"`
	// Numbers on the list after, or that would be.
	Numbers uint64 `json:"numbers"`
	// OutsideJurisdiction are those of them for whose regions the list does not speak: they are blocked all the same.
	OutsideJurisdiction uint64 `json:"outside_jurisdiction"`
	// Stale: with that SnapshotDate the list is past its max age, and numbers that are not on it are Unknown.
	Stale bool `json:"stale"`
	// Position from which the load counts; when nothing changed, the current one.
	Position
	SnapshotDate  string        `json:"snapshot_date"`
	ContentSHA256 string        `json:"content_sha256"`
	Elapsed       time.Duration `json:"elapsed"`
	// Empty cells hold no number.
	Empty uint64 `json:"empty"`
	// Rows that all entries were in; 0: not stated.
	Rows uint64 `json:"rows" zero:"unset"`
}

// GuardFailure is a guard that failed.
type GuardFailure struct {
	Guard   Guard  `json:"guard"`
	Prefix  string `json:"prefix"`
	Message string `json:"message"`
	// Before and After: numbers for shrinks, entries read and rejected for rejects,
	// files and those that end inside a line for GuardCut.
	Before     uint64  `json:"before"`
	After      uint64  `json:"after"`
	Limit      float64 `json:"limit"`
	Overridden bool    `json:"overridden"`
}

// Import loads numbers into a list, in bounded memory, and returns after the list
// has switched. A broken connection is renewed, and the import continues after the
// last chunk that the server holds. A load that a guard refused is no error:
// see ImportResult.Refused. There is no deadline but that of ctx. Until the switch
// nothing counts; when Import returns an error after all numbers were sent, the
// list may still switch: ImportHistory shows it.
func (c *Client) Import(ctx context.Context, r ImportRequest) (_ ImportResult, err error) {
	if r.Numbers == nil {
		return ImportResult{}, invalidField("numbers", "a load needs numbers: set Numbers")
	}
	defer closeSource(r.Numbers, &err)
	header, err := c.importHeader(&r)
	if err != nil {
		return ImportResult{}, err
	}
	result, err := numberUpload(c, &r, header).run(ctx)
	if err != nil {
		return ImportResult{}, err
	}
	return fromImportResult(result), nil
}

func (c *Client) importHeader(r *ImportRequest) (*dncv1.ImportHeader, error) {
	mode, err := value[dncv1.ImportMode](r.Mode, "IMPORT_MODE_", dncv1.ImportMode_value)
	if err != nil {
		return nil, err
	}
	if _, ok := r.Numbers.(ChangeSource); !ok && r.Mode == ModeDelta {
		return nil, invalidField("numbers", "mode delta needs numbers that come and go: give a ChangeSource")
	}
	sources, err := toSources(r.Sources)
	if err != nil {
		return nil, err
	}
	return &dncv1.ImportHeader{
		List: r.List, Mode: mode, Sources: sources, SnapshotDate: r.SnapshotDate,
		Guards: &dncv1.ImportGuards{
			MaxShrinkRatio: r.MaxShrink, MaxRejectRatio: r.MaxRejects, Override: r.Override,
		},
		DryRun: r.DryRun, TakeOver: r.TakeOver, Resume: r.Resume, Context: &dncv1.WriteContext{OnBehalfOf: c.opts.user},
	}, nil
}

// Numbers makes a NumberSource of strings in E.164. One that is not a number is
// counted as a reject. The sequence is read by one goroutine, and not to its end
// when the import ends early.
func Numbers(numbers iter.Seq[string]) NumberSource {
	s := &stringSource{tallies: map[string]uint64{}}
	s.next, s.stop = iter.Pull(numbers)
	return s
}

type stringSource struct {
	next           func() (string, bool)
	stop           func()
	read, rejected uint64
	tallies        map[string]uint64
}

func (s *stringSource) Next(batch []uint64) (int, error) {
	n := 0
	for n < len(batch) {
		text, ok := s.next()
		if !ok {
			break
		}
		s.read++
		number, err := phone.Parse(text)
		if err != nil {
			s.rejected++
			s.tallies[err.Error()]++
			continue
		}
		batch[n] = uint64(number)
		n++
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (s *stringSource) Summary() SourceSummary {
	sum := SourceSummary{Read: s.read, Rejected: s.rejected}
	for reason, count := range s.tallies {
		sum.RejectTallies = append(sum.RejectTallies, RejectTally{reason[:min(len(reason), 128)], count})
	}
	return sum
}

func (s *stringSource) Close() error {
	s.stop()
	return nil
}

func fromImportResult(r *dncv1.ImportResult) ImportResult {
	return ImportResult{
		ImportID:      r.GetImportId(),
		Refused:       r.GetRefused(),
		GuardFailures: each(r.GetGuardFailures(), fromGuardFailure),
		DryRun:        r.GetDryRun(),
		AlreadyLoaded: r.GetAlreadyLoaded(),
		Read:          r.GetRead(),
		Accepted:      r.GetAccepted(),
		Duplicates:    r.GetDuplicates(),
		Rejected:      r.GetRejected(),
		Empty:         r.GetEmpty(),
		Rows:          r.GetRows(),
		Added:         r.GetAdded(),
		Removed:       r.GetRemoved(),
		Unchanged:     r.GetUnchanged(),
		Numbers:       r.GetNumbers(),
		Position:      fromPosition(r.GetPosition()),
		SnapshotDate:  r.GetSnapshotDate(),
		ContentSHA256: hex.EncodeToString(r.GetContentSha256()),
		Elapsed:       r.GetElapsed().AsDuration(),

		OutsideJurisdiction: r.GetOutsideJurisdiction(),
		Stale:               r.GetStale(),
	}
}

func fromGuardFailure(g *dncv1.GuardFailure) GuardFailure {
	return GuardFailure{
		Guard:      fromGuard(g.GetGuard()),
		Prefix:     g.GetPrefix(),
		Message:    g.GetMessage(),
		Before:     g.GetBefore(),
		After:      g.GetAfter(),
		Limit:      g.GetLimit(),
		Overridden: g.GetOverridden(),
	}
}
