package client

import (
	"context"
	"time"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// MaxBatch is the most numbers of one CheckBatch.
const MaxBatch = 10_000

// BatchResult answers a CheckBatch, from one revision. The zero BatchResult has no answers.
type BatchResult struct {
	Position
	CheckedAt     time.Time
	PolicyVersion string
	// ClockAhead, TablesVersion and TablesDifference as in Result.
	ClockAhead       time.Duration
	TablesVersion    string
	TablesDifference []string
	// Reasons are what the answers rest on, each once. Details point into them.
	Reasons []Reason
	// Details say more about every number that is not Allow, and with Explain about every
	// number, by ascending Index.
	Details []BatchDetail

	verdicts []dncv1.Verdict
}

// batchJSON is a BatchResult as its JSON has it.
type batchJSON struct {
	Verdicts []Verdict     `json:"verdicts"`
	Details  []BatchDetail `json:"details"`
	Reasons  []Reason      `json:"reasons"`
	Position
	CheckedAt        time.Time     `json:"checked_at"`
	PolicyVersion    string        `json:"policy_version"`
	ClockAhead       time.Duration `json:"clock_ahead"`
	TablesVersion    string        `json:"tables_version"`
	TablesDifference []string      `json:"tables_difference"`
}

// MarshalJSON implements json.Marshaler: see the package comment. The verdicts are those
// of all numbers in turn, "" for one that is an error.
func (r BatchResult) MarshalJSON() ([]byte, error) {
	verdicts := make([]Verdict, r.Len())
	for i := range verdicts {
		verdicts[i] = r.Verdict(i)
	}
	return encode(batchJSON{
		verdicts, r.Details, r.Reasons, r.Position, r.CheckedAt, r.PolicyVersion, r.ClockAhead, r.TablesVersion, r.TablesDifference,
	})
}

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *BatchResult) UnmarshalJSON(text []byte) error {
	var j batchJSON
	if err := decode(text, &j); err != nil {
		*r = BatchResult{}
		return err
	}
	*r = BatchResult{
		Position: j.Position, CheckedAt: j.CheckedAt, PolicyVersion: j.PolicyVersion, ClockAhead: j.ClockAhead,
		TablesVersion: j.TablesVersion, TablesDifference: j.TablesDifference,
		Reasons: j.Reasons, Details: j.Details, verdicts: each(j.Verdicts, toVerdict),
	}
	return nil
}

// BatchDetail is more about one answer of a batch.
type BatchDetail struct {
	// Index is the number's place among those asked about, from 0.
	Index int `json:"index"`
	// Cause says why the verdict is Unknown; empty for the others.
	Cause Cause `json:"cause"`
	// Reasons are places in the Reasons of the BatchResult, the deciding ones first.
	// They may be shared with other details: do not change them.
	Reasons []uint32 `json:"reasons"`
	// ValidUntil is when the answer could change without a new event; zero: never.
	ValidUntil time.Time `json:"valid_until"`
	// OpensAt is when the calling hours next open, with NotNow: of several rules the latest. Zero: not within a month.
	OpensAt time.Time `json:"opens_at"`
	// Err is the number's own error, for which errors.Is(err, ErrInvalidNumber) holds.
	// There is no verdict then. In JSON it is its reason and its message.
	Err error `json:"error"`
}

// Len is how many numbers were asked about.
func (r *BatchResult) Len() int { return len(r.verdicts) }

// Verdict answers for the number at place i; empty for one that is an error.
func (r *BatchResult) Verdict(i int) Verdict {
	if r.verdicts[i] == dncv1.Verdict_VERDICT_UNSPECIFIED {
		return ""
	}
	return verdict(r.verdicts[i])
}

// Callable reports whether the number at place i may be called now. It is true only for Allow.
func (r *BatchResult) Callable(i int) bool { return r.verdicts[i] == dncv1.Verdict_VERDICT_ALLOW }

// CheckBatch checks up to MaxBatch numbers at one revision in one call, with as
// little work a number as possible: for callers that check millions a second and have
// numbers as E.164 digits, calling code first, such as 14155550123. CheckAll takes
// strings, and any count of them.
//
// An invalid number is its own detail's error and never the batch's. Other errors are
// as for Check, and come with the zero BatchResult. Region changes nothing here.
func (c *Client) CheckBatch(ctx context.Context, numbers []uint64, opts ...CheckOption) (BatchResult, error) {
	if len(numbers) > MaxBatch {
		return BatchResult{}, invalid("BATCH_TOO_LARGE", "at most 10000 numbers in one batch: split it")
	}
	o := c.checkOptions(opts)
	if err := o.judge(true); err != nil {
		return BatchResult{}, err
	}
	r, _, err := c.checkNumbers(ctx, &dncv1.CheckNumbersRequest{
		E164:    numbers,
		Region:  o.region,
		Scope:   o.scope,
		ReadAt:  o.readAt(),
		Purpose: o.sent,
		Explain: o.explain,
	})
	return r, err
}

// checkNumbers checks one batch and returns the numbers with the answers. Of strings they
// are the numbers that the server read.
func (c *Client) checkNumbers(ctx context.Context, request *dncv1.CheckNumbersRequest) (BatchResult, []uint64, error) {
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.CheckNumbersResponse, error) {
		return on.checks.CheckNumbers(ctx, request)
	})
	if err != nil {
		return BatchResult{}, nil, err
	}
	digits, asked := request.GetE164(), len(request.GetE164())
	if len(request.GetNumbers()) > 0 {
		digits, asked = answer.GetE164(), len(request.GetNumbers())
	}
	if len(answer.GetVerdicts()) != asked || len(digits) != asked {
		return BatchResult{}, nil, broken("the server answered another count of numbers than was asked about")
	}
	r := BatchResult{
		Position:      fromPosition(answer.GetPosition()),
		CheckedAt:     fromTime(answer.GetCheckedAt()),
		PolicyVersion: answer.GetPolicyVersion(),
		ClockAhead:    answer.GetClockAhead().AsDuration(),
		Reasons:       fromReasons(answer.GetReasons()),
		verdicts:      answer.GetVerdicts(),

		TablesVersion: answer.GetTablesVersion(), TablesDifference: answer.GetTablesDifference(),
	}
	if err := r.detail(answer.GetDetails()); err != nil {
		return BatchResult{}, nil, err
	}
	return r, digits, nil
}

// detail takes the details of single numbers. Their indexes ascend, as the contract says,
// so that readers need no search.
func (r *BatchResult) detail(details []*dncv1.CheckDetail) error {
	r.Details = make([]BatchDetail, len(details))
	last := -1
	for i, d := range details {
		place := int(d.GetIndex())
		if place <= last || place >= len(r.verdicts) {
			return broken("the server gave details of a number that was not asked about, or out of order")
		}
		last = place
		for _, at := range d.GetReasonIndexes() {
			if int(at) >= len(r.Reasons) {
				return broken("the server gave a reason that it did not send")
			}
		}
		r.Details[i] = fromDetail(d)
		if d.GetError() != nil {
			r.verdicts[place] = dncv1.Verdict_VERDICT_UNSPECIFIED
		}
	}
	return nil
}

func fromDetail(d *dncv1.CheckDetail) BatchDetail {
	if d.GetError() != nil {
		return BatchDetail{Index: int(d.GetIndex()), Err: fromItem(d.GetError())}
	}
	return BatchDetail{
		Index:      int(d.GetIndex()),
		Cause:      name[Cause](d.GetCause(), "CAUSE_"),
		Reasons:    d.GetReasonIndexes(),
		ValidUntil: fromTime(d.GetValidUntil()),
		OpensAt:    fromTime(d.GetOpensAt()),
	}
}

// pickReasons returns the reasons at the indexes, without a copy where they are consecutive.
func pickReasons(all []Reason, places []uint32) []Reason {
	if len(places) == 0 {
		return noReasons
	}
	first := places[0]
	for i, at := range places {
		if at != first+uint32(i) {
			return copyReasons(all, places)
		}
	}
	end := int(first) + len(places)
	return all[first:end:end]
}

func copyReasons(all []Reason, places []uint32) []Reason {
	out := make([]Reason, len(places))
	for i, at := range places {
		out[i] = all[at]
	}
	return out
}

// noReasons is for answers without reasons.
var noReasons = []Reason{}

// e164Of is the number in full: what was asked, when it was written so.
func e164Of(n phone.Number, asked string) string {
	var b [1 + 20]byte
	if full := n.AppendE164(b[:0]); string(full) != asked {
		return string(full)
	}
	return asked
}
