package client

import (
	"context"
	"strings"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// ImportOptOutsRequest is a file of opt-outs, or several, to be recorded.
type ImportOptOutsRequest struct {
	// Rows to record. Required.
	Rows OptOutSource
	// Region for national numbers in rows that name none.
	Region string
	// Sources are the files by name, as far as they are known before they are read.
	Sources []ImportSource
	// MaxRejects is the guard's ratio, 0 to 1; nil: the server's default, 0.01.
	MaxRejects *float64
	// Override overrides that guard, and the one of files that end inside a line.
	Override bool
	// DryRun reads and counts, and records nothing.
	DryRun bool
	// ScopeInstead, when not nil, has a row recorded whose number can be read, whatever else cannot: an unreadable scope
	// is then this one, an unreadable time none, and a text that is too long is cut. OnRemark is called.
	ScopeInstead *string
	// Resume continues the last ImportOptOuts with the same Region, ScopeInstead, user and names of Sources that was
	// not committed, by whichever process; if there is none, a new import starts. The rows are read from the start, in
	// the same order, and those that the server already holds are not sent. From the first 4000 that differ, all are
	// sent. OnReject and OnRemark are called again for rows that were sent before. Each row is compared with what its
	// number holds when it is recorded, whenever it was sent.
	Resume bool

	// OnResume, if not nil, is called once with the number of rows that the server already
	// holds from an earlier import, before others are sent. It is not called if there are none.
	// It is called by the goroutine of ImportOptOuts.
	OnResume func(rows uint64)
	// OnProgress, if not nil, is called periodically with the import's progress, by one
	// goroutine at a time.
	OnProgress func(Progress)
	// OnReject, if not nil, is called for each row that the server rejects, in the same
	// way as OnProgress.
	OnReject func(OptOutReject)
	// OnRemark, if not nil, is called for each row that is recorded only in part, in the same way as OnProgress.
	OnRemark func(OptOutReject)
}

// OptOutSource yields the rows of an import. One that is an io.Closer too is closed
// when ImportOptOuts returns.
type OptOutSource interface {
	// Next fills batch with rows and returns how many. Their RequestID is not used. A
	// Channel that is none is recorded as ChannelOther, with its text in the note.
	// After the last it returns 0 and io.EOF. Any other error ends the import:
	// nothing is recorded.
	Next(batch []OptOut) (int, error)
	// Summary is asked for once, after io.EOF. Its Coverage is not used.
	Summary() SourceSummary
}

// OptOutReject is a row that the server rejected, or has a remark about.
type OptOutReject struct {
	// Row is its place among those that the source yielded, from 0.
	Row uint64
	// Number as it was sent; empty for a row rejected after the commit.
	Number  string
	Reason  string // as in Error
	Message string
}

// ImportOptOutsResult is what became of an import of opt-outs.
// Read = Accepted + Duplicates + Rejected + Empty.
type ImportOptOutsResult struct {
	ImportID string `json:"import_id"`
	// Refused says that a guard failed: nothing was recorded.
	Refused bool `json:"refused"`
	// GuardFailures are all guards that failed, overridden ones too.
	GuardFailures []GuardFailure `json:"guard_failures"`
	DryRun        bool           `json:"dry_run"`
	Read          uint64         `json:"read"`
	// Accepted rows were recorded, or would be.
	Accepted uint64 `json:"accepted"`
	// Duplicates say what the number already held, or came twice.
	Duplicates uint64 `json:"duplicates"`
	Rejected   uint64 `json:"rejected"`
	// FirstRevision that holds a row; 0: none was recorded.
	FirstRevision uint64 `json:"first_revision"`
	// Position is the last that holds one; when none was recorded, the current one.
	Position
	Elapsed time.Duration `json:"elapsed"`
	// Empty cells hold no number.
	Empty uint64 `json:"empty"`
	// Rows that all of them were in; 0: not stated.
	Rows uint64 `json:"rows" zero:"unset"`
}

// ImportOptOuts records many opt-outs, in bounded memory, and returns once all are
// durable. A row that says what its number already holds in force is a duplicate: the
// same scope, channel and time of receipt, or, where the row has no time, the same
// scope and channel. So importing a file again does no harm. A broken connection is
// renewed, and the import continues after the last chunk that the server holds. An import
// that a guard refused is no error: see ImportOptOutsResult.Refused. There is no deadline
// but that of ctx. Until all rows were sent nothing counts; after an error that comes
// later, the server may still record them.
func (c *Client) ImportOptOuts(ctx context.Context, r ImportOptOutsRequest) (_ ImportOptOutsResult, err error) {
	if r.Rows == nil {
		return ImportOptOutsResult{}, invalidField("rows", "an import needs rows: set Rows")
	}
	defer closeSource(r.Rows, &err)
	sources, err := toSources(r.Sources)
	if err != nil {
		return ImportOptOutsResult{}, err
	}
	header := &dncv1.ImportRecordsHeader{
		Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT, Sources: sources, Region: r.Region, DryRun: r.DryRun,
		Guards:        &dncv1.ImportGuards{MaxRejectRatio: r.MaxRejects, Override: r.Override},
		FallbackScope: r.ScopeInstead, Resume: r.Resume, Context: &dncv1.WriteContext{OnBehalfOf: c.opts.user},
	}
	rows := &rowsOf[OptOut]{source: r.Rows, toRow: toRow}
	return c.importRows(ctx, rows, rowCalls{r.OnResume, r.OnProgress, r.OnReject, r.OnRemark}, header)
}

// toRow is a row on the wire. The server judges what is wrong with it, and rejects the row,
// not the import.
func toRow(o *OptOut) *dncv1.RecordRow {
	channel, err := value[dncv1.Channel](o.Channel, "CHANNEL_", dncv1.Channel_value)
	note := o.Note
	if err != nil {
		channel = dncv1.Channel_CHANNEL_OTHER
		note = strings.TrimPrefix(note+"\nchannel: "+string(o.Channel), "\n")
	}
	return &dncv1.RecordRow{
		Number: carried(o.Number), Region: carried(o.Region), Scope: carried(o.Scope), Channel: channel, Desk: carried(o.Desk),
		ReceivedAt: toTime(o.ReceivedAt), Evidence: carried(o.Evidence), Note: carried(note), ExpiresAt: toTime(o.ExpiresAt),
	}
}

// carried is text as a message can carry it: UTF-8, and not much longer than the contract
// accepts. Text that is cut here is still too long for the server.
func carried(text string) string {
	const most = 8 << 10
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func fromRecordsResult(r *dncv1.ImportRecordsResult) ImportOptOutsResult {
	return ImportOptOutsResult{
		ImportID:      r.GetImportId(),
		Refused:       r.GetRefused(),
		GuardFailures: each(r.GetGuardFailures(), fromGuardFailure),
		DryRun:        r.GetDryRun(),
		Read:          r.GetRead(),
		Accepted:      r.GetAccepted(),
		Duplicates:    r.GetDuplicates(),
		Rejected:      r.GetRejected(),
		Empty:         r.GetEmpty(),
		Rows:          r.GetRows(),
		FirstRevision: r.GetFirstRevision(),
		Position:      fromPosition(r.GetPosition()),
		Elapsed:       r.GetElapsed().AsDuration(),
	}
}
