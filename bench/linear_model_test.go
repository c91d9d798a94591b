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
	deed   deed
	number int
	least  uint64 // of a check: the revision that the answer must have
}

// told is the answer. Of a check that failed none is kept.
type told struct {
	lost    bool // with the server: the write may have happened
	refused bool // there was nothing to withdraw
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

// numberState is what a number is, one operation after the other.
type numberState struct {
	optOuts uint32
	last    event  // that changed it, as far as it was told
	read    uint64 // the newest revision that a check has answered from
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
		case out.refused && s.optOuts == 0:
			return []numberState{s}
		case out.refused, s.optOuts == 0, out.ended != s.optOuts:
			return nil
		}
		after.optOuts = 0
	case adds:
		after.optOuts++
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

func TestNumberModel(t *testing.T) {
	operation := func(d deed, from, to int64, out told) porcupine.Operation {
		return porcupine.Operation{Input: asked{deed: d}, Output: out, Call: from, Return: to}
	}
	at := func(revision uint64) event { return event{revision: revision} }
	added := operation(adds, 0, 1, told{event: at(1)})
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
		{"a refusal", []porcupine.Operation{operation(withdraws, 0, 1, told{refused: true}), operation(checks, 2, 3, told{})}, true},
		{"a refusal of what is there", []porcupine.Operation{added, operation(withdraws, 2, 3, told{refused: true})}, false},
		{"a refusal before what it rests on", []porcupine.Operation{
			added, operation(withdraws, 2, 9, told{event: at(2), ended: 1}),
			operation(withdraws, 3, 4, told{refused: true}), operation(checks, 5, 6, told{blocked: true, read: 1}),
		}, false},
		{"a lost opt-out that is there", []porcupine.Operation{
			operation(adds, 0, 1, told{lost: true}), operation(checks, 2, 3, told{blocked: true, read: 1}),
		}, true},
		{"a lost opt-out that is not", []porcupine.Operation{operation(adds, 0, 1, told{lost: true}), operation(checks, 2, 3, told{})}, true},
		{"a lost opt-out that comes later", []porcupine.Operation{
			operation(adds, 0, 1, told{lost: true}), operation(checks, 2, 3, told{}), operation(checks, 4, 5, told{blocked: true, read: 1}),
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
