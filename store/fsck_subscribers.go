package store

import (
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/state"
)

// subscriberStates holds every subscriber of the state against the journal.
func (c *checker) subscriberStates() error {
	return c.areOfJournal("a subscriber", "subscribers", len(c.subscribers), matching(state.Subscribers(c.txn), c.subscribers))
}

// deskStates holds every desk of the state against the journal.
func (c *checker) deskStates() error {
	return c.areOfJournal("a desk", "desks", len(c.desks), matching(state.Desks(c.txn), c.desks))
}

// policyStates holds every policy of the state against the journal.
func (c *checker) policyStates() error {
	return c.areOfJournal("a policy", "policies", len(c.policies), matching(state.Policies(c.txn), c.policies))
}

// areOfJournal reports the first value of the state that is not the one of the journal, and those that are missing.
func (c *checker) areOfJournal(one, many string, want int, found iter.Seq2[bool, error]) error {
	if len(c.r.Lost) > 0 {
		return nil // what changed them is not known
	}
	held := 0
	for same, err := range found {
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%w: %s is not the one of the journal", ErrDamaged, one)
		}
		held++
	}
	if held < want {
		return fmt.Errorf("%w: %d %s of the journal are missing", ErrDamaged, want-held, many)
	}
	return nil
}

// matching yields for each stored value whether it is the one of the book.
func matching[M proto.Message](stored iter.Seq2[state.Stored[M], error], book map[policy.EventID]M) iter.Seq2[bool, error] {
	return func(yield func(bool, error) bool) {
		for s, err := range stored {
			want, known := book[s.ID]
			if !yield(known && proto.Equal(s.State, want), err) {
				return
			}
		}
	}
}
