package server

import (
	"runtime"

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
	at      instant
	asked   []question // at one scope, to be decided together
	message dncv1.StreamChecksResponse
	place   dncv1.Position        // of the message
	time    timestamppb.Timestamp // of the message
	telling
	bytes int // of the answers without the reasons, at most
	tally tally
	let   ticket // what the server has room for,
	left  int64  // and how many checks may still be done of it
}

// maxAnswerBytes is where a message of answers is sent and the next begun: it bounds what a client that does not read
// makes the server hold. One answer more is a few KiB.
const maxAnswerBytes = 256 << 10

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
	a.view, a.at = v, instantOf(v)
	a.place.Revision, a.place.JournalId = v.Revision(), v.JournalID()
	a.time.Seconds, a.time.Nanos = a.at.now.Unix(), int32(a.at.now.Nanosecond())
	a.message.Position, a.message.CheckedAt = &a.place, &a.time
	return nil
}

// finish answers what is left, lets go of the view, and sends.
func (a *answers) finish() error {
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

// askedTogether is how many checks are decided together, at most.
const askedTogether = 512

// add answers q, or says err.
func (a *answers) add(q question, err error) error {
	if err == nil && a.left == 0 {
		err = errOverloaded
	}
	if err != nil {
		return a.refuse(q.id, err)
	}
	a.left--
	if n := len(a.asked); n == askedTogether || n > 0 && a.asked[0].scope != q.scope {
		if err := a.decide(); err != nil {
			return err
		}
		runtime.Gosched() // single checks go first
	}
	a.asked = append(a.asked, q)
	return nil
}

// decide answers what has been asked.
func (a *answers) decide() error {
	if len(a.asked) == 0 {
		return nil
	}
	d := decisionsPool.Get().(*decisions)
	for i := range a.asked {
		d.numbers = append(d.numbers, a.asked[i].number)
	}
	d.decide(a.view, a.asked[0].scope, a.at)
	for i, at := range d.found.At {
		sent, err := a.sendFull()
		if err != nil {
			return err
		}
		if sent {
			clear(d.told) // which points to reasons of the message before
		}
		a.tell(&a.asked[i], d.list[at].Verdict, a.explanation(d, at))
	}
	d.release()
	clear(a.asked)
	a.asked = a.asked[:0]
	return nil
}

func (a *answers) tell(q *question, verdict policy.Verdict, e *explanation) {
	a.tally[verdict]++
	m := a.room(q.id)
	m.Verdict, m.Cause, m.ValidUntil, m.ReasonIndexes = verdictOf(verdict), e.cause, e.until, e.reasons
	if q.text {
		m.E164 = uint64(q.number)
	}
	a.bytes += maxIndexBytes * len(e.reasons)
}

// maxIndexBytes is what the place of a reason takes on the wire, at most.
const maxIndexBytes = 5

func (a *answers) refuse(id uint64, err error) error {
	if _, err := a.sendFull(); err != nil {
		return err
	}
	a.tally[policy.Unspecified]++
	e := itemError(err)
	a.bytes += len(e.GetMessage())
	a.room(id).Error = e
	return nil
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

// sendFull sends the message when it has become large.
func (a *answers) sendFull() (sent bool, err error) {
	if a.bytes+a.reasons.bytes < maxAnswerBytes {
		return false, nil
	}
	return true, a.send()
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
