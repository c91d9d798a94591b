package main

import (
	"fmt"
	"testing"

	"github.com/anishathalye/porcupine"
)

// deed is what a caller asks of one number.
type deed uint8

const (
	checks deed = iota
	adds
	withdraws
)

func (d deed) String() string { return [...]string{"check", "add", "withdraw"}[d] }

type asked struct {
	deed    deed
	number  int
	least   uint64 // of a check: the revision that the answer must have
	request int    // of an opt-out: its request id, if it has one that others use too; from 1
	content uint8  // of an opt-out with one: which of two requests it is; from 1
}

// refusal is why a write was refused: what the state of the number decides.
type refusal uint8

const (
	taken           refusal = iota
	nothingThere            // to withdraw
	full                    // the number holds as many records as it may
	requestIDReused         // for another request
)

func (r refusal) String() string {
	return [...]string{"", "NOTHING_TO_WITHDRAW", "RECORD_LIMIT", "REQUEST_ID_REUSED"}[r]
}

// told is the answer. Of a check that failed none is kept.
type told struct {
	lost    bool // with the server: the write may have happened
	refusal refusal
	again   bool // the request was known: this is its first answer
	blocked bool
	event   event  // of a write
	ended   uint32 // by a withdrawal
	read    uint64 // the revision of a check's answer
}

// event is a place in the journal.
type event struct {
	revision uint64
	index    uint32
}

func (e event) after(o event) bool {
	return e.revision > o.revision || e.revision == o.revision && e.index > o.index
}

// linearFull is the number that has room for a few opt-outs alone: for roomLeast in any case, and never for more than roomMost.
// A record is a byte or two longer at a later revision.
const (
	linearFull = linearNumbers - 1
	roomLeast  = 2
	roomMost   = 4
)

// linearRequests is how many request ids a number has that callers share.
const linearRequests = 24

// numberState is what a number is, one operation after the other.
type numberState struct {
	optOuts  uint32
	last     event  // that changed it, as far as it was told
	read     uint64 // the newest revision that a check has answered from
	requests [linearRequests + 1]firstUse
}

// firstUse is what a request id was first used for.
type firstUse struct {
	content uint8 // 0: it is not used yet
	event   event // zero: nobody was told
}

// numberModel is the promise about one number: each operation takes effect at one moment between call and answer, in the order
// of the revisions, and one whose answer was lost may have taken effect or not.
var numberModel = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		numbers := map[int][]porcupine.Operation{}
		for _, o := range history {
			n := o.Input.(asked).number
			numbers[n] = append(numbers[n], o)
		}
		var all [][]porcupine.Operation
		for _, of := range numbers {
			all = append(all, of)
		}
		return all
	},
	Init: func() []any { return []any{numberState{}} },
	Step: func(state, input, output any) []any {
		var states []any
		for _, s := range state.(numberState).step(input.(asked), output.(told)) {
			states = append(states, s)
		}
		return states
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%s %+v", input.(asked).deed, output) },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}

// step returns the states that an operation may lead to; none: the answer is wrong.
func (s numberState) step(in asked, out told) []numberState {
	after := s
	switch in.deed {
	case checks:
		if out.blocked != (s.optOuts > 0) || out.read < in.least || out.read < s.last.revision {
			return nil
		}
		after.read = max(s.read, out.read)
		return []numberState{after}
	case withdraws:
		switch {
		case out.lost:
		case out.refusal == nothingThere && s.optOuts == 0:
			return []numberState{s}
		case out.refusal != taken, s.optOuts == 0, out.ended != s.optOuts:
			return nil
		}
		after.optOuts = 0
	case adds:
		if states, known := s.repeat(in, out); known {
			return states
		}
		canRefuse, mustRefuse := in.number == linearFull && s.optOuts >= roomLeast, in.number == linearFull && s.optOuts >= roomMost
		switch {
		case out.lost && mustRefuse, out.refusal == full && canRefuse:
			return []numberState{s}
		case out.refusal != taken, out.again, mustRefuse:
			return nil
		}
		after.optOuts++
		if in.request > 0 {
			after.requests[in.request] = firstUse{in.content, out.event}
		}
	}
	if out.lost {
		return []numberState{s, after}
	}
	if !out.event.after(s.last) || out.event.revision <= s.read {
		return nil // a check has answered from this revision, or a later one, without it
	}
	after.last = out.event
	return []numberState{after}
}

// repeat returns the states that an opt-out may lead to whose request id was used before, and whether it was.
func (s numberState) repeat(in asked, out told) ([]numberState, bool) {
	first := s.requests[in.request]
	if in.request == 0 || first.content == 0 {
		return nil, false
	}
	switch {
	case out.lost:
	case in.content != first.content:
		if out.refusal != requestIDReused {
			return nil, true
		}
	case !out.again, first.event != event{} && first.event != out.event:
		return nil, true
	default:
		s.requests[in.request].event = out.event
	}
	return []numberState{s}, true
}

func TestNumberModel(t *testing.T) {
	operation := func(d deed, from, to int64, out told) porcupine.Operation {
		return porcupine.Operation{Input: asked{deed: d}, Output: out, Call: from, Return: to}
	}
	at := func(revision uint64) event { return event{revision: revision} }
	added := operation(adds, 0, 1, told{event: at(1)})
	addedFull := func(revision int64) porcupine.Operation {
		return porcupine.Operation{
			Input: asked{deed: adds, number: linearFull}, Output: told{event: at(uint64(revision))}, Call: 2 * revision, Return: 2*revision + 1,
		}
	}
	refusedAdd := porcupine.Operation{Input: asked{deed: adds, number: linearFull}, Output: told{refusal: full}, Call: 50, Return: 51}
	named := func(content uint8, from int64, out told) porcupine.Operation {
		return porcupine.Operation{Input: asked{deed: adds, request: 1, content: content}, Output: out, Call: from, Return: from + 1}
	}
	for _, c := range []struct {
		name    string
		history []porcupine.Operation
		want    bool
	}{
		{"an opt-out", []porcupine.Operation{added, operation(checks, 2, 3, told{blocked: true, read: 1})}, true},
		{"an opt-out that is gone", []porcupine.Operation{added, operation(checks, 2, 3, told{read: 1})}, false},
		{"a check beside it", []porcupine.Operation{added, operation(checks, 0, 3, told{read: 0})}, true},
		{"a check at its revision that lacks it", []porcupine.Operation{added, operation(checks, 0, 3, told{read: 1})}, false},
		{"a check that is older than its token", []porcupine.Operation{
			added, {Input: asked{deed: checks, least: 2}, Output: told{blocked: true, read: 1}, Call: 2, Return: 3},
		}, false},
		{"a withdrawal of one", []porcupine.Operation{added, operation(withdraws, 2, 3, told{event: at(2), ended: 1})}, true},
		{"a withdrawal of two", []porcupine.Operation{added, operation(withdraws, 2, 3, told{event: at(2), ended: 2})}, false},
		{"a refusal", []porcupine.Operation{operation(withdraws, 0, 1, told{refusal: nothingThere}), operation(checks, 2, 3, told{})}, true},
		{"a refusal of what is there", []porcupine.Operation{added, operation(withdraws, 2, 3, told{refusal: nothingThere})}, false},
		{"a refusal before what it rests on", []porcupine.Operation{
			added, operation(withdraws, 2, 9, told{event: at(2), ended: 1}),
			operation(withdraws, 3, 4, told{refusal: nothingThere}), operation(checks, 5, 6, told{blocked: true, read: 1}),
		}, false},
		{"a lost opt-out that is there", []porcupine.Operation{
			operation(adds, 0, 1, told{lost: true}), operation(checks, 2, 3, told{blocked: true, read: 1}),
		}, true},
		{"a lost opt-out that is not", []porcupine.Operation{operation(adds, 0, 1, told{lost: true}), operation(checks, 2, 3, told{})}, true},
		{"a lost opt-out that comes later", []porcupine.Operation{
			operation(adds, 0, 1, told{lost: true}), operation(checks, 2, 3, told{}), operation(checks, 4, 5, told{blocked: true, read: 1}),
		}, false},
		{"a full number", []porcupine.Operation{addedFull(1), addedFull(2), addedFull(3), refusedAdd}, true},
		{"a full number that takes one more", []porcupine.Operation{addedFull(1), addedFull(2), addedFull(3), addedFull(4), addedFull(5)}, false},
		{"a number that is called full and is not", []porcupine.Operation{addedFull(1), refusedAdd}, false},
		{"another number that is called full", []porcupine.Operation{
			added, operation(adds, 2, 3, told{event: at(2)}), operation(adds, 4, 5, told{refusal: full}),
		}, false},
		{"full before what it rests on", []porcupine.Operation{
			addedFull(1), {Input: asked{deed: adds, number: linearFull}, Output: told{event: at(2)}, Call: 4, Return: 99}, refusedAdd,
			{Input: asked{deed: withdraws, number: linearFull}, Output: told{event: at(3), ended: 1}, Call: 60, Return: 61},
		}, false},
		{"a request again", []porcupine.Operation{named(1, 0, told{event: at(1)}), named(1, 2, told{event: at(1), again: true})}, true},
		{"a request again that is told otherwise", []porcupine.Operation{named(1, 0, told{event: at(1)}), named(1, 2, told{event: at(2), again: true})}, false},
		{"a request that is written twice", []porcupine.Operation{named(1, 0, told{event: at(1)}), named(1, 2, told{event: at(2)})}, false},
		{"a repeat of what never was", []porcupine.Operation{named(1, 0, told{event: at(1), again: true})}, false},
		{"a request id reused", []porcupine.Operation{named(1, 0, told{event: at(1)}), named(2, 2, told{refusal: requestIDReused})}, true},
		{"a request id reused that is taken", []porcupine.Operation{named(1, 0, told{event: at(1)}), named(2, 2, told{event: at(2)})}, false},
		{"a request id that is called reused and is not", []porcupine.Operation{named(1, 0, told{refusal: requestIDReused})}, false},
		{"a lost request that is there", []porcupine.Operation{named(1, 0, told{lost: true}), named(2, 2, told{refusal: requestIDReused})}, true},
		{"a lost request that was refused, and another that is told as it", []porcupine.Operation{
			named(1, 0, told{lost: true}), named(2, 2, told{event: at(1)}), named(1, 4, told{event: at(1), again: true}),
		}, false},
		{"a lost withdrawal", []porcupine.Operation{
			added, operation(withdraws, 2, 3, told{lost: true}), operation(checks, 4, 5, told{read: 2}),
		}, true},
	} {
		if got := porcupine.CheckOperations(numberModel.ToModel(), c.history); got != c.want {
			t.Errorf("%s: linearizable %v, want %v", c.name, got, c.want)
		}
	}
}
