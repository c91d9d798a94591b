package server

import (
	"runtime"

	"google.golang.org/protobuf/types/known/timestamppb"

	where "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// answerWriter gathers the answers of a stream to checks at one view, and sends them. It reuses the memory of one
// message for the next one: gRPC has encoded a message when Send returns.
type answerWriter struct {
	s      *checkService
	stream checkStream

	view    *store.View // nil between finish and begin, so that an idle stream keeps no old view alive
	at      instant
	asked   []question // checks that ask the same and will be decided together
	message dncv1.StreamChecksResponse
	place   dncv1.Position        // of the message
	time    timestamppb.Timestamp // of the message
	reasonEncoder
	bytes int // upper bound of the answers' size, without the reasons
	tally tally
	let   ticket // the room that was given,
	left  int64  // and how many more checks it allows
}

// maxAnswerBytes is the size at which a message of answers is sent and the next one begins. It bounds what the server
// holds for a client that does not read. One more answer takes a few KiB.
const maxAnswerBytes = 256 << 10

// answerOverhead is an upper bound of an answer's size on the wire, without its reasons and the message of its error.
const answerOverhead = 80

// keptAnswers is how many answers a stream keeps memory for between messages.
const keptAnswers = 1024

// begin prepares to answer up to count checks from v.
func (a *answerWriter) begin(v *store.View, count int) {
	a.let = a.s.admit[workStream].enterSome(count)
	a.left = a.let.units
	a.view, a.at = v, instantOf(v)
	a.place.Revision, a.place.JournalId, a.place.Tag = v.Revision(), v.JournalID(), v.Tag()
	a.time.Seconds, a.time.Nanos = a.at.now.Unix(), int32(a.at.now.Nanosecond())
	a.message.Position, a.message.CheckedAt, a.message.ClockAhead = &a.place, &a.time, a.at.aheadMessage()
	a.message.PolicyVersion, a.message.TablesVersion, a.message.TablesDifference = v.PolicyVersion(), where.TablesVersion(), nil
}

// finish answers the remaining checks, releases the view, and sends.
func (a *answerWriter) finish() error {
	if err := a.decide(); err != nil {
		return err
	}
	a.view = nil
	a.leave()
	a.s.metrics.addTally(sourceStream, &a.tally)
	a.tally = tally{}
	if len(a.message.Answers) == 0 {
		return nil
	}
	return a.send()
}

// askedTogether is the largest number of checks that are decided together.
const askedTogether = 512

// add answers q, or answers it with err.
func (a *answerWriter) add(q question, err error) error {
	if err == nil && a.left == 0 {
		err = errOverloaded
	}
	if err != nil {
		return a.refuse(q.id, err)
	}
	a.left--
	if n := len(a.asked); n == askedTogether || n > 0 && a.asked[0].asked != q.asked {
		if err := a.decide(); err != nil {
			return err
		}
		runtime.Gosched() // gives waiting single checks a turn
	}
	a.asked = append(a.asked, q)
	return nil
}

// decide answers the checks that were added.
func (a *answerWriter) decide() error {
	if len(a.asked) == 0 {
		return nil
	}
	d := decisionPool.Get().(*decisionBatch)
	for i := range a.asked {
		d.numbers = append(d.numbers, a.asked[i].number)
	}
	d.decide(a.view, &a.asked[0].asked, a.at)
	for i, at := range d.found.At {
		sent, err := a.sendFull()
		if err != nil {
			return err
		}
		if sent {
			clear(d.encoded) // they point to reasons of the previous message
		}
		a.put(&a.asked[i], d.list[at].Verdict, a.encode(d, at))
	}
	d.release()
	clear(a.asked)
	a.asked = a.asked[:0]
	return nil
}

func (a *answerWriter) put(q *question, verdict policy.Verdict, e *encodedReasons) {
	a.tally[verdict]++
	m := a.room(q.id)
	m.Verdict, m.Cause, m.ValidUntil, m.OpensAt, m.ReasonIndexes = verdictOf(verdict), e.cause, e.until, e.opens, e.reasons
	if q.text {
		m.E164 = uint64(q.number)
	}
	a.bytes += maxIndexBytes * len(e.reasons)
}

// maxIndexBytes is an upper bound of the size of a reason's index on the wire.
const maxIndexBytes = 5

func (a *answerWriter) refuse(id uint64, err error) error {
	if _, err := a.sendFull(); err != nil {
		return err
	}
	a.tally[policy.Unspecified]++
	e := itemError(err)
	a.bytes += len(e.GetMessage())
	a.room(id).Error = e
	return nil
}

// room adds an empty answer to the message. Answers are allocated many at a time.
func (a *answerWriter) room(id uint64) *dncv1.StreamAnswer {
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

// grow doubles the room for answers.
func (a *answerWriter) grow() {
	n := len(a.message.Answers)
	made := make([]dncv1.StreamAnswer, max(n, 8))
	grown := make([]*dncv1.StreamAnswer, n+len(made))
	copy(grown, a.message.Answers)
	for i := range made {
		grown[n+i] = &made[i]
	}
	a.message.Answers = grown[:n]
}

// sendFull sends the message when it has become large.
func (a *answerWriter) sendFull() (sent bool, err error) {
	if a.bytes+a.reasons.bytes < maxAnswerBytes {
		return false, nil
	}
	return true, a.send()
}

// leave returns the room of admission: a client that does not read holds none of it.
func (a *answerWriter) leave() {
	a.let.leave()
	a.let = ticket{}
}

// send sends the message, and waits while the client does not read.
func (a *answerWriter) send() error {
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
