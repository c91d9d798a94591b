package client

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// call is one check on a stream. It returns to the pool only after an answer: otherwise
// the sender of the stream may still read it.
type call struct {
	number  string
	options callOptions
	size    int       // at most that many bytes in a message
	expires time.Time // when the stream ends it; zero: the caller's context does

	check   dncv1.StreamCheck
	digits  dncv1.StreamCheck_E164
	text    dncv1.StreamCheck_Number
	readAt  dncv1.ReadAt
	atLeast dncv1.ReadAt_AtLeast
	place   dncv1.Position

	// Guarded by the stream.
	sent bool
	left bool // its caller has stopped waiting

	// Written before done, read after it.
	result     Result
	err        error
	isAnswered bool          // by the server: no one else holds the call
	done       chan struct{} // one message: the call has ended
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// newCall makes a call. If it waits for a revision it carries how long the server may wait:
// a little less than the caller does, so that the answer arrives in time.
func newCall(ctx context.Context, number string, o *callOptions, expires time.Time) *call {
	c := calls.Get().(*call)
	c.number, c.options, c.expires = number, *o, expires
	c.check.Region, c.check.Scope = o.region, o.scope
	c.check.Purpose, c.check.Explain, c.check.Place = o.sent, o.explain, o.place
	c.size = checkOverhead + len(o.region) + len(o.scope) + len(o.place) + len(o.atLeast.JournalID) + len(o.atLeast.Tag)
	if n, err := phone.Parse(number); err == nil && o.region == "" {
		c.digits.E164 = uint64(n)
		c.check.Subject = &c.digits
	} else {
		c.text.Number = number
		c.check.Subject = &c.text
		c.size += len(number)
	}
	if o.waits() {
		c.place.Revision, c.place.JournalId, c.place.Tag = o.atLeast.Revision, o.atLeast.JournalID, o.atLeast.tagBytes()
		c.atLeast.AtLeast, c.readAt.At, c.check.ReadAt = &c.place, &c.atLeast, &c.readAt
		c.check.Timeout = durationpb.New(revisionWait(ctx, expires))
	}
	return c
}

// revisionWait is how long a check may wait for its revision at the server.
func revisionWait(ctx context.Context, expires time.Time) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		expires = deadline
	}
	left := time.Until(expires)
	return max(left-min(left/5, 100*time.Millisecond), time.Millisecond)
}

// wait waits for the end of the call. It returns false when ctx ended first.
func (c *call) wait(ctx context.Context, s *checkStream) bool {
	gone := ctx.Done()
	if gone == nil {
		<-c.done
		return true
	}
	select {
	case <-c.done:
		return true
	case <-gone:
	}
	if s.leave(c) {
		return false
	}
	<-c.done
	return true
}

func (c *call) free() {
	c.number, c.options, c.result, c.err = "", callOptions{}, Result{}, nil
	c.check.ReadAt, c.check.Timeout, c.text.Number = nil, nil, ""
	c.sent, c.isAnswered = false, false
	calls.Put(c)
}

// end wakes the caller. It is called once, by the goroutine that took the call off its stream.
func (c *call) end(err error) {
	c.err = err
	c.done <- struct{}{}
}

// answer takes the server's answer. common is what all answers of a message share.
func (c *call) answer(a *dncv1.StreamAnswer, common *Result, reasons []Reason) {
	c.isAnswered = true
	c.end(c.take(a, common, reasons))
}

// take makes the result, or returns the error of the answer.
func (c *call) take(a *dncv1.StreamAnswer, common *Result, reasons []Reason) error {
	if item := a.GetError(); item != nil {
		return fromAnswer(item, common)
	}
	for _, at := range a.GetReasonIndexes() {
		if int(at) >= len(reasons) {
			return broken("the server gave a reason that it did not send")
		}
	}
	n := phone.Number(c.digits.E164)
	if c.check.Subject == &c.text {
		if n = phone.Number(a.GetE164()); n == 0 {
			return broken("the server did not say what it read as a number")
		}
	}
	r := &c.result
	*r = *common
	r.Number = e164Of(n, c.number)
	r.Verdict = verdict(a.GetVerdict())
	r.Cause = name[Cause](a.GetCause(), "CAUSE_")
	r.Reasons = pickReasons(reasons, a.GetReasonIndexes())
	r.ValidUntil = fromTime(a.GetValidUntil())
	r.OpensAt = fromTime(a.GetOpensAt())
	return nil
}

// fromAnswer makes the error that a unary call would have returned from a check's own error.
func fromAnswer(item *dncv1.ItemError, common *Result) *Error {
	e := fromItem(item)
	switch {
	case strings.HasPrefix(e.Reason, "NUMBER_"):
		return e.with("field", "number")
	case e.Reason == "REGION_INVALID":
		return e.with("field", "region")
	case e.Reason == "SCOPE_INVALID":
		return e.with("field", "scope")
	}
	if e.Reason == reasonOverloaded {
		e.retryAfter = overloadPause
	}
	switch e.Reason {
	case "JOURNAL_CHANGED", "JOURNAL_FORKED", "REVISION_NOT_REACHED":
		return e.with("revision", strconv.FormatUint(common.Revision, 10)).with("journal_id", common.JournalID)
	}
	return e
}

// overloadPause is what the contract asks for of a check that a server without room refused on a stream.
const overloadPause = 100 * time.Millisecond
