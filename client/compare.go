package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// CompareRequest is what a base blocks, by its own export, to be compared with what it acknowledged as applied.
type CompareRequest struct {
	// Subscriber by name. Required.
	Subscriber string
	// TakenAt is when the export was taken; zero: now. It must not be in the future.
	TakenAt time.Time
	// Removals reports numbers of the export that may go: see DifferenceRemovable.
	Removals bool
	// Numbers that the base blocks, in any order. Required. Of its Summary only Rejected counts.
	Numbers NumberSource

	// OnDifference, if not nil, is called for each difference, by ascending number, by the goroutine of CompareBase. Its error
	// ends the call. The comparison may be recorded nevertheless.
	OnDifference func(Difference) error
	// OnProgress, if not nil, is called periodically, by one goroutine at a time: in PhaseSending with the numbers that the
	// server has, in PhaseComparing with those that are compared.
	OnProgress func(Progress)
}

// Difference is one number that an export should hold and does not, or that it holds and need not.
type Difference struct {
	Number string         `json:"number"`
	Kind   DifferenceKind `json:"kind"`
	// Scope of the row that blocks it; of a removable number, where it was withdrawn.
	Scope string `json:"scope" empty:"kept"`
	// Source of that row: "opt-out", or the id of a list, as in FeedRow. List is the name of the list.
	Source string `json:"source"`
	List   string `json:"list"`
	// Since is when the opt-out was recorded, the content of the list loaded, or the number withdrawn.
	Since time.Time `json:"since"`
	// InForce says that the base must block it now.
	InForce bool `json:"in_force"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (d Difference) MarshalJSON() ([]byte, error) { return encode(d) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (d *Difference) UnmarshalJSON(text []byte) error { return decode(text, d) }

// Comparison is a recorded comparison of a base's export with what it acknowledged.
type Comparison struct {
	// ID is the event that recorded it, ComparedAt when that was.
	ID         EventID   `json:"id"`
	ComparedAt time.Time `json:"compared_at"`
	// TakenAt is when the export was taken, as was said.
	TakenAt time.Time `json:"taken_at"`
	// AcknowledgedRevision is up to where the base had acknowledged as applied; 0: it had not, in its epoch, and the export was
	// compared with everything that was recorded until it was taken.
	AcknowledgedRevision uint64 `json:"acknowledged_revision" zero:"unset"`
	// UpToRevision is the earlier one of that and of TakenAt: what was recorded later is not expected in the export.
	UpToRevision uint64 `json:"up_to_revision"`
	// Numbers of the export, each once, and Rejected entries that were read as no number.
	Numbers  uint64 `json:"numbers"`
	Rejected uint64 `json:"rejected"`
	// Expected numbers had to be in the export, and Missing ones of them were not.
	Expected uint64 `json:"expected"`
	Missing  uint64 `json:"missing"`
	// InFlight numbers are in force, and neither expected nor in the export yet.
	InFlight uint64 `json:"in_flight"`
	// Extra numbers of the export are blocked by no row: a base serves others too.
	Extra uint64 `json:"extra"`
	// NumbersSHA256 is over the export's numbers as over the content of a list, MissingSHA256 over the missing ones; in hex.
	NumbersSHA256 string        `json:"numbers_sha256"`
	MissingSHA256 string        `json:"missing_sha256"`
	Elapsed       time.Duration `json:"elapsed_seconds"`
	// ListsInDoubt could not be compared: a repair found their content damaged.
	ListsInDoubt []string `json:"lists_in_doubt"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (c Comparison) MarshalJSON() ([]byte, error) { return encode(c) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (c *Comparison) UnmarshalJSON(text []byte) error { return decode(text, c) }

// IsClean says that nothing is missing, and that every list was compared.
func (c *Comparison) IsClean() bool { return c.Missing == 0 && len(c.ListsInDoubt) == 0 }

// CompareResult is what a comparison found.
type CompareResult struct {
	Subscriber string `json:"subscriber"`
	Comparison
	// Removable numbers were reported as DifferenceRemovable.
	Removable uint64 `json:"removable"`
	Position
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r CompareResult) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *CompareResult) UnmarshalJSON(text []byte) error { return decode(text, r) }

// CompareBase compares what a base blocks with what it acknowledged as applied, and has the server record what was found. An error of
// Numbers, or of the server, means that nothing was recorded, unless the connection broke in the last moment: compare again. It has no deadline but that of
// ctx, and is not tried again. A NumberSource that is an io.Closer too is closed when CompareBase returns. Errors:
// ErrSubscriberNotFound, ErrPermissionDenied.
func (c *Client) CompareBase(ctx context.Context, r CompareRequest) (result CompareResult, err error) {
	defer closeSource(r.Numbers, &err)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.pick().propagation.CompareBase(ctx)
	if err != nil {
		return result, fromStatus(err)
	}
	u := &comparison{CompareRequest: r}
	idle, err := u.open(stream, c.writeContext(""))
	if err != nil {
		return result, err
	}
	sending := keepOpen(ctx, stream, idle)
	sent := make(chan error, 1)
	go func() {
		err := u.send(sending)
		if fault := (*sourceError)(nil); errors.As(err, &fault) { // else the reason comes from the receiving side
			cancel()
		}
		sent <- err
	}()
	summary, err := u.receive(stream)
	if err != nil {
		cancel()
	}
	if fault := (*sourceError)(nil); errors.As(<-sent, &fault) {
		return result, fault.error
	}
	return fromSummary(r.Subscriber, summary), err
}

type compareStream = grpc.BidiStreamingClient[dncv1.CompareBaseRequest, dncv1.CompareBaseResponse]

// comparison is one call of CompareBase.
type comparison struct{ CompareRequest }

// open sends the header. It returns for how long the stream may send nothing.
func (u *comparison) open(s compareStream, by *dncv1.WriteContext) (idle time.Duration, err error) {
	by.RequestId = "" // a comparison is made again
	h := &dncv1.CompareHeader{Subscriber: u.Subscriber, Removals: u.Removals, Context: by}
	if !u.TakenAt.IsZero() {
		h.TakenAt = timestamppb.New(u.TakenAt)
	}
	// The reason of a failed Send comes from Recv.
	_ = s.Send(&dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Header{Header: h}})
	answer, err := s.Recv()
	if err != nil {
		return 0, compareError(err)
	}
	return answer.GetProgress().GetIdleLimit().AsDuration(), nil
}

// send sends the numbers and the commit.
func (u *comparison) send(s compareStream) error {
	batch, total := make([]uint64, chunkNumbers), uint64(0)
	for {
		n, err := u.fill(batch)
		if err != nil {
			return &sourceError{err}
		}
		if n == 0 {
			break
		}
		total += uint64(n)
		chunk := &dncv1.CompareChunk{Ascending: encodeAscending(batch[:n])}
		if err := s.Send(&dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Chunk{Chunk: chunk}}); err != nil {
			return err
		}
	}
	commit := &dncv1.CompareCommit{Numbers: total, Rejected: u.Numbers.Summary().Rejected}
	if err := s.Send(&dncv1.CompareBaseRequest{Frame: &dncv1.CompareBaseRequest_Commit{Commit: commit}}); err != nil {
		return err
	}
	return s.CloseSend()
}

// fill reads a whole chunk of numbers; 0 at their end.
func (u *comparison) fill(batch []uint64) (count int, err error) {
	for count < len(batch) {
		got, err := u.Numbers.Next(batch[count:])
		count += got
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return count, nil
}

// receive takes answers until the summary.
func (u *comparison) receive(s compareStream) (*dncv1.CompareSummary, error) {
	var found uint64
	for {
		answer, err := s.Recv()
		if err != nil {
			return nil, compareError(err)
		}
		if p := answer.GetProgress(); p != nil {
			u.report(p)
		}
		for _, d := range answer.GetDifferences().GetDifferences() {
			found++
			if u.OnDifference == nil {
				continue
			}
			if err := u.OnDifference(fromDifference(d)); err != nil {
				return nil, err
			}
		}
		if sum := answer.GetSummary(); sum != nil {
			if c := sum.GetComparison(); c.GetMissing()+c.GetInFlight()+sum.GetRemovable() != found {
				return nil, broken("the differences are not as many as the server counted: compare again")
			}
			return sum, nil
		}
	}
}

func (u *comparison) report(p *dncv1.CompareProgress) {
	switch {
	case u.OnProgress == nil:
	case p.GetCompared() > 0:
		u.OnProgress(Progress{Phase: PhaseComparing, Done: p.GetCompared()})
	default:
		u.OnProgress(Progress{Phase: PhaseSending, Done: p.GetReceived()})
	}
}

func compareError(err error) error {
	if err == io.EOF {
		return broken("the comparison was cut before its end: nothing was recorded; compare again")
	}
	return fromStatus(err)
}

func fromDifference(m *dncv1.Difference) Difference {
	d := Difference{
		Number: phone.Number(m.GetNumber()).E164(), Kind: name[DifferenceKind](m.GetKind(), "DIFFERENCE_KIND_"),
		Scope: m.GetScope(), Source: "opt-out", List: m.GetListName(), Since: fromTime(m.GetSince()), InForce: m.GetInForce(),
	}
	if id := m.GetList(); id != nil {
		d.Source = fmt.Sprintf("%d.%d", id.GetRevision(), id.GetIndex())
	}
	return d
}

func fromSummary(subscriber string, m *dncv1.CompareSummary) CompareResult {
	if m == nil {
		return CompareResult{}
	}
	return CompareResult{subscriber, *fromComparison(m.GetComparison()), m.GetRemovable(), fromPosition(m.GetPosition())}
}

// fromComparison is nil for none.
func fromComparison(m *dncv1.Comparison) *Comparison {
	if m == nil {
		return nil
	}
	return &Comparison{
		ID:                   fromEventID(m.GetId()),
		ComparedAt:           fromTime(m.GetTime()),
		TakenAt:              fromTime(m.GetTakenAt()),
		AcknowledgedRevision: m.GetAcknowledged().GetRevision(),
		UpToRevision:         m.GetUpTo().GetRevision(),
		Numbers:              m.GetNumbers(),
		Rejected:             m.GetRejected(),
		Expected:             m.GetExpected(),
		Missing:              m.GetMissing(),
		InFlight:             m.GetInFlight(),
		Extra:                m.GetExtra(),
		NumbersSHA256:        hex.EncodeToString(m.GetNumbersSha256()),
		MissingSHA256:        hex.EncodeToString(m.GetMissingSha256()),
		Elapsed:              m.GetElapsed().AsDuration(),
		ListsInDoubt:         m.GetListsInDoubt(),
	}
}
