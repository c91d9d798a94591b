package server

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// answers gathers the answers of a stream to checks at one view, and sends them. The room of one message is used again
// for the next: gRPC has encoded a message when Send returns.
type answers struct {
	s      *checkService
	stream checkStream

	view    *store.View // nil between finish and begin, so that an idle stream holds on to no old one
	facts   *policy.Facts
	now     time.Time
	message dncv1.StreamChecksResponse
	reasons reasonTable
	until   *timestamppb.Timestamp
	bytes   int // of the answers without the reasons, at most
	tally   tally
	let     ticket // what the server has room for,
	left    int64  // and how many checks may still be done of it
}

// maxAnswerBytes is where a message of answers is sent and the next begun. One answer more is a few KiB, and a message
// stays well below 4 MiB.
const maxAnswerBytes = 1 << 20

// answerOverhead is more than an answer takes on the wire besides its reasons and the message of its error.
const answerOverhead = 80

// keptAnswers is how many answers a stream keeps room for between messages.
const keptAnswers = 1024

// begin makes ready to answer up to count checks from v.
func (a *answers) begin(v *store.View, count int) error {
	a.let = a.s.admit[workStream].enterSome(count)
	a.left = a.let.units
	if err := a.s.capacity.spend(a.stream.Context(), int(a.left)); err != nil {
		return err
	}
	a.view, a.now = v, v.Now()
	a.facts = factsPool.Get().(*policy.Facts)
	a.message.Revision, a.message.JournalId, a.message.CheckedAt = v.Revision(), v.JournalID(), stamp(a.now)
	return nil
}

// finish lets go of the view, then sends the answers that are left.
func (a *answers) finish() error {
	release(a.facts)
	a.view, a.facts = nil, nil
	a.leave()
	a.s.metrics.addTally(sourceStream, &a.tally)
	a.tally = tally{}
	if len(a.message.Answers) == 0 {
		return nil
	}
	return a.send()
}

// add answers q, or says err.
func (a *answers) add(q question, err error) error {
	if a.bytes+a.reasons.bytes >= maxAnswerBytes {
		if err := a.send(); err != nil {
			return err
		}
	}
	if err == nil && a.left == 0 {
		err = errOverloaded
	}
	if err != nil {
		a.refuse(q.id, err)
		return nil
	}
	a.left--
	a.decide(q)
	return nil
}

func (a *answers) decide(q question) {
	d := decide(a.view, q.number, q.scope, a.facts, a.now)
	a.tally[d.Verdict]++
	m := a.room(q.id)
	m.Verdict = verdictOf(d.Verdict)
	m.Cause = causeOf(d.Cause)
	m.ValidUntil = a.stamp(d.ValidUntil)
	if q.text {
		m.E164 = uint64(q.number)
	}
	if d.Verdict != policy.Allow {
		m.ReasonIndexes = a.reasons.indexes(a.facts, &d)
		a.bytes += maxIndexBytes * len(m.ReasonIndexes)
	}
}

// maxIndexBytes is what the place of a reason takes on the wire, at most.
const maxIndexBytes = 5

func (a *answers) refuse(id uint64, err error) {
	a.tally[policy.Unspecified]++
	e := itemError(err)
	a.bytes += len(e.GetMessage())
	a.room(id).Error = e
}

// room adds an answer to the message. Answers are made many at a time.
func (a *answers) room(id uint64) *dncv1.StreamAnswer {
	n := len(a.message.Answers)
	if n == cap(a.message.Answers) {
		a.grow()
	}
	a.message.Answers = a.message.Answers[:n+1]
	m := a.message.Answers[n]
	*m = dncv1.StreamAnswer{Id: id}
	a.bytes += answerOverhead
	return m
}

// grow doubles the room.
func (a *answers) grow() {
	n := len(a.message.Answers)
	made := make([]dncv1.StreamAnswer, max(n, 8))
	grown := make([]*dncv1.StreamAnswer, n+len(made))
	copy(grown, a.message.Answers)
	for i := range made {
		grown[n+i] = &made[i]
	}
	a.message.Answers = grown[:n]
}

// stamp shares the message of a time among the answers that follow each other with the same.
func (a *answers) stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	if a.until == nil || !a.until.AsTime().Equal(t) {
		a.until = timestamppb.New(t)
	}
	return a.until
}

// leave gives back the server's room: a client that does not read holds none of it.
func (a *answers) leave() {
	a.let.leave()
	a.let = ticket{}
}

// send sends what has been gathered, and waits while the client does not read.
func (a *answers) send() error {
	a.leave()
	a.message.Reasons = a.reasons.list
	err := a.stream.Send(&a.message)
	a.message.Answers = a.message.Answers[:0]
	if cap(a.message.Answers) > keptAnswers {
		a.message.Answers = nil
	}
	a.message.Reasons = nil
	a.reasons.reset()
	a.bytes = 0
	return err
}
