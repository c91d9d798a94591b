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
	// batchesAhead is how many batches are in flight at the same time.
	batchesAhead = 4
)

// CheckAll checks the numbers of a sequence of any length in batches, a few of
// them at a time, and yields one result a number, in order. Memory is bounded; the
// input is read by the goroutine that ranges over the results, as far as a few
// batches ahead: answers to a slow input wait until a batch is full.
//
// An invalid number yields its own error, for which errors.Is(err,
// ErrInvalidNumber) holds, and the sequence continues. Any other error is the last
// thing yielded: the numbers from there on were not checked. Each batch is answered
// from one revision. The deadline of a context without one counts for each batch.
// Results with Allow carry Reasons and ValidUntil only with Explain.
func (c *Client) CheckAll(ctx context.Context, numbers iter.Seq[string], opts ...CheckOption) iter.Seq2[Result, error] {
	o := c.checkOptions(opts)
	wrong := o.judge(true)
	return func(yield func(Result, error) bool) {
		if wrong != nil {
			yield(Result{}, wrong)
			return
		}
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

// add takes one more number. It returns false when the sequence is over.
func (p *pipeline) add(number string) bool {
	if p.filling == nil {
		p.filling = newBatch()
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
	p.filling = nil
	p.ahead = append(p.ahead, b)
	go func() {
		defer close(b.done)
		b.err = b.check(p.ctx, p.client, p.options)
	}()
}

// deliver yields the answers of the oldest batch.
func (p *pipeline) deliver() bool {
	b := p.ahead[0]
	p.ahead = p.ahead[1:]
	<-b.done
	if b.err != nil {
		p.yield(Result{}, b.err)
		return false
	}
	return b.deliver(p.yield)
}

func (p *pipeline) finish() {
	if p.filling != nil {
		p.launch()
	}
	for len(p.ahead) > 0 && p.deliver() {
	}
}

// wait returns once no call is in flight.
func (p *pipeline) wait() {
	for _, b := range p.ahead {
		<-b.done
	}
}

// batch is numbers that are checked in one call.
type batch struct {
	numbers []string
	digits  []uint64       // of the numbers; 0 where the server must parse the string
	strings bool           // the server must parse at least one of them
	bytes   int            // of the numbers, in the message
	refused map[int]*Error // by index: never sent

	done   chan struct{}
	err    error // of the whole batch
	answer BatchResult
}

func newBatch() *batch {
	return &batch{
		numbers: make([]string, 0, batchNumbers),
		digits:  make([]uint64, 0, batchNumbers),
		done:    make(chan struct{}),
	}
}

func (b *batch) add(number string) {
	var digits uint64
	if err := sendable(number); err != nil {
		b.refuse(err)
		number = "" // keeps its place
	} else if n, err := phone.Parse(number); err == nil {
		digits = uint64(n)
	} else {
		b.strings = true
	}
	b.numbers = append(b.numbers, number)
	b.digits = append(b.digits, digits)
	b.bytes += len(number) + 2
}

// refuse keeps the error of the next number.
func (b *batch) refuse(err *Error) {
	if b.refused == nil {
		b.refused = make(map[int]*Error)
	}
	b.refused[len(b.numbers)] = err
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

// check sends digits, which is faster, unless the server must parse one of the numbers or
// say what is wrong with it.
func (b *batch) check(ctx context.Context, c *Client, o *callOptions) (err error) {
	request := &dncv1.CheckNumbersRequest{
		Region:  o.region,
		Scope:   o.scope,
		ReadAt:  o.readAt(),
		Purpose: o.sent,
		Explain: o.explain,
	}
	if b.strings {
		request.Numbers = b.numbers
	} else {
		request.E164 = b.digits
	}
	b.answer, b.digits, err = c.checkNumbers(ctx, request)
	return err
}

// deliver yields one result for each number, or its error. It returns false when the caller's loop ended.
func (b *batch) deliver(yield func(Result, error) bool) bool {
	details := b.answer.Details
	for i := range b.numbers {
		var detail *BatchDetail
		if len(details) > 0 && details[0].Index == i {
			detail, details = &details[0], details[1:]
		}
		r, err := b.result(i, detail)
		if !yield(r, err) {
			return false
		}
	}
	return true
}

// result is the answer at an index; a nil detail means that there are no details.
func (b *batch) result(i int, detail *BatchDetail) (Result, error) {
	if err := b.refused[i]; err != nil {
		return Result{}, err
	}
	r := Result{
		Number:        e164Of(phone.Number(b.digits[i]), b.numbers[i]),
		Verdict:       verdict(b.answer.verdicts[i]),
		Position:      b.answer.Position,
		CheckedAt:     b.answer.CheckedAt,
		PolicyVersion: b.answer.PolicyVersion,
		ClockAhead:    b.answer.ClockAhead,

		TablesVersion: b.answer.TablesVersion, TablesDifference: b.answer.TablesDifference,
	}
	if detail == nil {
		return r, nil
	}
	if detail.Err != nil {
		return Result{}, detail.Err
	}
	r.Cause = detail.Cause
	r.Reasons = pickReasons(b.answer.Reasons, detail.Reasons)
	r.ValidUntil, r.OpensAt = detail.ValidUntil, detail.OpensAt
	return r, nil
}
