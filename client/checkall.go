package client

import (
	"context"
	"iter"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	// batchNumbers and batchBytes keep a batch below the contract's limits, 10,000
	// numbers and 256 KiB, and an answer in which every number has reasons below 4 MiB.
	batchNumbers = 2000
	batchBytes   = 200 << 10
	// batchesAhead is how many batches are under way at once.
	batchesAhead = 4
)

// CheckAll checks the numbers of a sequence of any length in batches, a few of
// them at a time, and yields one result a number, in order. Memory is bounded; the
// input is read by the goroutine that ranges over the results, as far as a few
// batches ahead: answers to a slow input wait until a batch is full.
//
// An invalid number yields its own error, for which errors.Is(err,
// ErrInvalidNumber) holds, and the sequence goes on. Any other error is the last
// thing yielded: the numbers from there on were not checked. Each batch is answered
// from one revision. The deadline of a context without one counts for each batch.
// Results with Allow carry no Reasons, ValidUntil or OpensAt: Check has them.
func (c *Client) CheckAll(ctx context.Context, numbers iter.Seq[string], opts ...CallOption) iter.Seq2[Result, error] {
	o := c.checkOptions(opts)
	return func(yield func(Result, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		p := &pipeline{ctx: ctx, client: c, options: &o, yield: yield}
		defer p.wait()
		defer cancel()
		for number := range numbers {
			if !p.add(number) {
				return
			}
		}
		p.finish()
	}
}

// pipeline is the batches of one CheckAll.
type pipeline struct {
	ctx     context.Context
	client  *Client
	options *callOptions
	yield   func(Result, error) bool

	filling *batch
	ahead   []*batch // under way, oldest first
}

// add takes one more number. It is false when the sequence is over.
func (p *pipeline) add(number string) bool {
	if p.filling == nil {
		p.filling = &batch{numbers: make([]string, 0, batchNumbers)}
	}
	p.filling.add(number)
	if !p.filling.isFull() {
		return true
	}
	p.launch()
	for len(p.ahead) >= batchesAhead || len(p.ahead) > 0 && p.ahead[0].isDone() {
		if !p.deliver() {
			return false
		}
	}
	return true
}

func (p *pipeline) launch() {
	b := p.filling
	b.done = make(chan struct{})
	p.filling = nil
	p.ahead = append(p.ahead, b)
	go func() {
		defer close(b.done)
		b.err = b.check(p.ctx, p.client, p.options)
	}()
}

// deliver yields what the oldest batch was answered.
func (p *pipeline) deliver() bool {
	b := p.ahead[0]
	p.ahead = p.ahead[1:]
	<-b.done
	if b.err != nil {
		p.yield(Result{}, b.err)
		return false
	}
	for i := range b.results {
		var err error
		if e := b.invalid[i]; e != nil {
			err = e
		}
		if !p.yield(b.results[i], err) {
			return false
		}
	}
	return true
}

func (p *pipeline) finish() {
	if p.filling != nil {
		p.launch()
	}
	for len(p.ahead) > 0 && p.deliver() {
	}
}

// wait returns once no call is under way.
func (p *pipeline) wait() {
	for _, b := range p.ahead {
		<-b.done
	}
}

// batch is some numbers that are checked in one call.
type batch struct {
	numbers []string
	bytes   int            // of the numbers, in the message
	invalid map[int]*Error // by place

	done    chan struct{}
	err     error    // of the whole batch
	results []Result // one a number
}

func (b *batch) add(number string) {
	if err := sendable(number); err != nil {
		b.refuse(len(b.numbers), err)
		number = "" // keeps its place
	}
	b.numbers = append(b.numbers, number)
	b.bytes += len(number) + 2
}

func (b *batch) refuse(place int, err *Error) {
	if b.invalid == nil {
		b.invalid = make(map[int]*Error)
	}
	if b.invalid[place] == nil {
		b.invalid[place] = err
	}
}

func (b *batch) isFull() bool {
	return len(b.numbers) == batchNumbers || b.bytes >= batchBytes
}

func (b *batch) isDone() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

func (b *batch) check(ctx context.Context, c *Client, o *callOptions) error {
	request := &dncv1.CheckNumbersRequest{
		Region:      o.region,
		Scope:       o.scope,
		MinRevision: o.minRevision,
		JournalId:   o.journalID,
	}
	if request.E164 = b.packed(); request.E164 == nil {
		request.Numbers = b.numbers
	}
	answer, err := retried(ctx, c, func(ctx context.Context, on *connection) (*dncv1.CheckNumbersResponse, error) {
		return on.checks.CheckNumbers(ctx, request)
	})
	if err != nil {
		return err
	}
	return b.take(answer, request.E164)
}

// packed returns the numbers as digits, the fast way; nil when one of them needs
// the server to read it or to say what is wrong with it.
func (b *batch) packed() []uint64 {
	digits := make([]uint64, len(b.numbers))
	for i, number := range b.numbers {
		if b.invalid[i] != nil {
			continue
		}
		n, err := phone.Parse(number)
		if err != nil {
			return nil
		}
		digits[i] = uint64(n)
	}
	return digits
}

// take makes results of an answer. digits are those sent; nil: strings were.
func (b *batch) take(answer *dncv1.CheckNumbersResponse, digits []uint64) error {
	if digits == nil {
		digits = answer.GetE164()
	}
	verdicts := answer.GetVerdicts()
	if len(verdicts) != len(b.numbers) || len(digits) != len(b.numbers) {
		return broken("the server answered another count of numbers than was asked about")
	}
	common := Result{
		Revision:      answer.GetRevision(),
		JournalID:     answer.GetJournalId(),
		CheckedAt:     fromTime(answer.GetCheckedAt()),
		PolicyVersion: answer.GetPolicyVersion(),
	}
	b.results = make([]Result, len(verdicts))
	for i, v := range verdicts {
		r := common
		r.Number, r.Verdict = phone.Number(digits[i]).E164(), verdict(v)
		b.results[i] = r
	}
	if err := b.detail(answer.GetDetails(), fromReasons(answer.GetReasons())); err != nil {
		return err
	}
	for place := range b.invalid {
		b.results[place] = Result{}
	}
	return nil
}

// detail adds what the answer says about single numbers.
func (b *batch) detail(details []*dncv1.CheckDetail, reasons []Reason) error {
	for _, d := range details {
		place := int(d.GetIndex())
		if place >= len(b.results) {
			return broken("the server gave details of a number that was not asked about")
		}
		if d.GetError() != nil {
			b.refuse(place, fromItem(d.GetError()))
			continue
		}
		r := &b.results[place]
		r.Cause = name[Cause](d.GetCause(), "CAUSE_")
		r.ValidUntil = fromTime(d.GetValidUntil())
		r.OpensAt = fromTime(d.GetOpensAt())
		for _, i := range d.GetReasonIndexes() {
			if int(i) >= len(reasons) {
				return broken("the server gave a reason that it did not send")
			}
			r.Reasons = append(r.Reasons, reasons[i])
		}
	}
	return nil
}
