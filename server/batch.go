package server

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/phone"
	where "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// Limits of one message of checks.
const (
	maxChecks     = 10_000
	maxCheckBytes = 256 << 10
)

// CheckNumbers implements dncv1.CheckServiceServer.
func (s *checkService) CheckNumbers(ctx context.Context, req *dncv1.CheckNumbersRequest) (*dncv1.CheckNumbersResponse, error) {
	if err := checkBatch(req); err != nil {
		return nil, err
	}
	v, err := s.view(ctx, req.GetReadAt())
	if err != nil {
		return nil, err
	}
	b := batchCheck{view: v, req: req, workers: s.workers, asked: asked{explain: req.GetExplain()}}
	if b.region, err = parseRegion(req.GetRegion()); err != nil {
		return nil, err
	}
	if b.asked.scope, err = scopeOf(req.GetScope()); err != nil {
		return nil, err
	}
	if b.asked.purpose, err = purposeOf(req.GetPurpose()); err != nil {
		return nil, err
	}
	count := len(req.GetNumbers()) + len(req.GetE164())
	t, err := s.admit[workBatch].enter(count)
	if err != nil {
		return nil, err
	}
	defer t.leave()
	b.at = instantOf(v)
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	s.metrics.addTally(sourceBatch, &b.tally)
	return b.resp, nil
}

// checkBatch refuses a request that exceeds a limit or that is not exactly one batch.
func checkBatch(req *dncv1.CheckNumbersRequest) error {
	if len(req.GetNumbers()) > 0 && len(req.GetE164()) > 0 {
		return invalidField("numbers", "and e164 are both set: use one of them")
	}
	count := len(req.GetNumbers()) + len(req.GetE164())
	bytes := 8 * len(req.GetE164())
	for _, n := range req.GetNumbers() {
		bytes += len(n) + 2 // tag and length
	}
	if count > maxChecks || bytes > maxCheckBytes {
		return refuse(dncv1.ErrorReason_ERROR_REASON_BATCH_TOO_LARGE,
			fmt.Sprintf("at most %d numbers and %d KiB in one message: split the batch", maxChecks, maxCheckBytes>>10),
			"limit", fmt.Sprint(maxChecks), "actual", fmt.Sprint(count))
	}
	return nil
}

// batchCheck answers one CheckNumbers.
type batchCheck struct {
	view    *store.View
	req     *dncv1.CheckNumbersRequest
	at      instant
	region  phone.Region
	asked   asked
	workers workers

	resp  *dncv1.CheckNumbersResponse
	tally tally
	reasonEncoder
}

// partNumbers is how many numbers of a batch one goroutine answers at a time. It takes less than a millisecond.
const partNumbers = 2000

func (b *batchCheck) run(ctx context.Context) error {
	n := max(len(b.req.GetNumbers()), len(b.req.GetE164()))
	b.begin(n)
	if len(b.req.GetNumbers()) > 0 && !b.req.GetVerdictsOnly() {
		b.resp.E164 = make([]uint64, n)
	}
	parts := make([]*decisionBatch, (n+partNumbers-1)/partNumbers)
	err := b.workers.each(ctx, len(parts), func(i int) { parts[i] = b.answer(i * partNumbers) })
	if err != nil {
		return err
	}
	for i, a := range parts {
		b.fill(i*partNumbers, a)
		a.release()
	}
	b.resp.Reasons = b.reasons.list
	return nil
}

// begin makes a response about n numbers.
func (b *batchCheck) begin(n int) {
	r := new(struct { // one allocation
		resp     dncv1.CheckNumbersResponse
		position dncv1.Position
		at       timestamppb.Timestamp
	})
	r.position.Revision, r.position.JournalId, r.position.Tag = b.view.Revision(), b.view.JournalID(), b.view.Tag()
	r.at.Seconds, r.at.Nanos = b.at.now.Unix(), int32(b.at.now.Nanosecond())
	r.resp.Position, r.resp.CheckedAt, r.resp.ClockAhead = &r.position, &r.at, b.at.aheadMessage()
	r.resp.PolicyVersion, r.resp.TablesVersion = b.view.PolicyVersion(), where.TablesVersion()
	r.resp.TablesDifference = tablesDifference(b.req.GetReadAt().GetPast())
	r.resp.Verdicts = make([]dncv1.Verdict, n)
	b.resp = &r.resp
}

// answer decides about one part of the numbers, which begins at from.
func (b *batchCheck) answer(from int) *decisionBatch {
	a := decisionPool.Get().(*decisionBatch)
	for i := from; i < min(from+partNumbers, len(b.resp.Verdicts)); i++ {
		n, _ := b.number(i) // the zero Number with an error, which explain reports
		a.numbers = append(a.numbers, n)
	}
	a.decide(b.view, &b.asked, b.at)
	return a
}

func (b *batchCheck) number(i int) (phone.Number, error) {
	if len(b.req.GetE164()) > 0 {
		return phone.FromDigits(b.req.E164[i])
	}
	return parseNumber(b.req.Numbers[i], b.region)
}

// fill puts the answers of the part that begins at from into the response.
func (b *batchCheck) fill(from int, a *decisionBatch) {
	before := b.tally[policy.Allow]
	for i, at := range a.found.At {
		verdict := policy.Unspecified
		if at != store.NoFacts {
			verdict = a.list[at].Verdict
		}
		b.tally[verdict]++
		b.resp.Verdicts[from+i] = verdictOf(verdict)
	}
	if b.req.GetVerdictsOnly() {
		return
	}
	if b.resp.E164 != nil {
		for i, n := range a.numbers {
			b.resp.E164[from+i] = uint64(n)
		}
	}
	count := len(a.numbers)
	if !b.asked.explain {
		count -= int(b.tally[policy.Allow] - before)
	}
	if count > 0 {
		b.explain(from, a, make([]dncv1.CheckDetail, count))
	}
}

// explain fills in the details of the answers that have them. There are as many as details.
func (b *batchCheck) explain(from int, a *decisionBatch, details []dncv1.CheckDetail) {
	b.resp.Details = slices.Grow(b.resp.Details, len(details))
	for i, at := range a.found.At {
		if !b.asked.explain && at != store.NoFacts && a.list[at].Verdict == policy.Allow {
			continue
		}
		d := &details[0]
		details = details[1:]
		b.resp.Details = append(b.resp.Details, d)
		d.Index = uint32(from + i)
		if at == store.NoFacts {
			_, err := b.number(from + i)
			d.Error = itemError(err)
			continue
		}
		e := b.encode(a, at)
		d.Cause, d.ValidUntil, d.OpensAt, d.ReasonIndexes = e.cause, e.until, e.opens, e.reasons
	}
}

// maxReasonBytes bounds the reasons of a batch, so that the response stays under 4 MiB. Details beyond the bound name
// no reason.
const maxReasonBytes = 3 << 20

// reasonTable holds each reason of a batch once.
type reasonTable struct {
	list  []*dncv1.Reason
	place map[reasonKey]uint32
	alone [][]uint32 // by index: a list that holds only that index, shared by all details with that one reason
	bytes int
}

// reasonKey distinguishes reasons: a record by its event, a list by its place in the view.
type reasonKey struct {
	record policy.EventID
	list   *policy.List
	rule   *policy.Rule
	zone   *policy.Zone
	source string
	kind   policy.ReasonKind
}

func (t *reasonTable) indexes(d *policy.Decision) []uint32 {
	found := orderedReasons(d)
	if len(found) == 1 {
		if i, ok := t.add(&found[0]); ok {
			return t.alone[i]
		}
		return nil
	}
	out := make([]uint32, 0, len(found))
	for i := range found {
		if at, ok := t.add(&found[i]); ok {
			out = append(out, at)
		}
	}
	return out
}

// add returns the index of r in the table; false when the table is full.
func (t *reasonTable) add(r *policy.Reason) (uint32, bool) {
	key := reasonKey{list: r.List, rule: r.Rule, zone: r.Zone, source: r.Source, kind: r.Kind}
	if r.Record != nil {
		key.record = r.Record.ID
	}
	if i, ok := t.place[key]; ok {
		return i, true
	}
	if t.bytes >= maxReasonBytes {
		return 0, false
	}
	if t.place == nil {
		t.place = make(map[reasonKey]uint32)
	}
	i := uint32(len(t.list))
	m := reasonOf(r)
	t.bytes += len(m.GetScope()) + len(m.GetList()) + len(m.GetRule()) + len(m.GetSource()) + len(m.GetTimeZone()) + reasonOverhead
	t.place[key] = i
	t.list = append(t.list, m)
	if int(i) == len(t.alone) {
		t.alone = append(t.alone, []uint32{i})
	}
	return i, true
}

// reset empties t and keeps its memory, unless one unusual message made it large. It keeps no list alive.
func (t *reasonTable) reset() {
	if len(t.list) > keptReasons {
		*t = reasonTable{}
		return
	}
	clear(t.place)
	clear(t.list)
	t.list, t.bytes = t.list[:0], 0
}

const keptReasons = 64

// reasonOverhead is an upper bound of a reason's size on the wire, without its texts.
const reasonOverhead = 80
