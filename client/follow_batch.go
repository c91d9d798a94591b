package client

import (
	"slices"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// edits collect what messages do to the rows of a base, and to its state.
type edits struct {
	state *FollowState
	steps []editStep
}

// editStep is one edit, or one for each of some numbers.
type editStep struct {
	Edit
	numbers []uint64 // nil: the edit's own
}

func (b *edits) isEmpty() bool { return len(b.steps) == 0 }

// all yields the edits.
func (b *edits) all(yield func(Edit) bool) {
	for _, s := range b.steps {
		if s.numbers == nil && !yield(s.Edit) {
			return
		}
		for _, n := range s.numbers {
			s.Number = n
			if !yield(s.Edit) {
				return
			}
		}
	}
}

func (b *edits) add(m *dncv1.WatchResponse) error {
	for _, change := range m.GetChanges() {
		c, err := fromFeedChange(change)
		if err != nil {
			return err
		}
		b.addChange(c, change)
	}
	return nil
}

func (b *edits) addChange(c Change, m *dncv1.FeedChange) {
	switch c.Kind {
	case ChangeOptOut:
		b.step(EditPut, Row{Number: m.GetSet().GetNumber(), Scope: c.Scope, Source: SourceOptOut, Until: c.Until})
	case ChangeWithdrawal:
		b.step(EditDelete, Row{Number: m.GetRemove().GetNumber(), Scope: c.Scope, Source: SourceOptOut})
	case ChangeListAdded, ChangeListRemoved:
		b.listRows(c)
	case ChangeListLoaded:
		b.loaded(c)
	case ChangeListMoved:
		b.move(b.list(c), c)
	case ChangeListDeleted:
		b.step(EditDrop, Row{Source: c.ListID})
		b.state.Lists = slices.DeleteFunc(b.state.Lists, func(l FollowedList) bool { return l.ID == c.ListID })
	case ChangeListInDoubt:
		b.list(c).InDoubt = true
		b.touch()
	}
}

func (b *edits) step(kind EditKind, row Row) {
	b.steps = append(b.steps, editStep{Edit: Edit{kind, row}})
}

// touch makes the batch one that has to be stored, though it changes no row.
func (b *edits) touch() {
	if b.isEmpty() {
		b.steps = append(b.steps, editStep{numbers: []uint64{}})
	}
}

// list is what the state has about the list of a change. One that it does not know yet counts everywhere, until
// the change that says where.
func (b *edits) list(c Change) *FollowedList {
	i := slices.IndexFunc(b.state.Lists, func(l FollowedList) bool { return l.ID == c.ListID })
	if i < 0 {
		i = len(b.state.Lists)
		b.state.Lists = append(b.state.Lists, FollowedList{ID: c.ListID, Name: c.List})
	}
	return &b.state.Lists[i]
}

func (b *edits) listRows(c Change) {
	kind := EditPut
	if c.Kind == ChangeListRemoved {
		kind = EditDelete
	}
	if len(c.Digits) > 0 {
		b.steps = append(b.steps, editStep{Edit{kind, Row{Scope: b.list(c).Scope, Source: c.ListID}}, c.Digits})
	}
}

// loaded takes the change that follows the rows of a list. One that was in doubt came whole, beside the rows that the base kept: which
// of those are gone, only a snapshot says.
func (b *edits) loaded(c Change) {
	l := b.list(c)
	b.state.Resync = b.state.Resync || l.InDoubt
	b.move(l, c)
}

func (b *edits) move(l *FollowedList, c Change) {
	l.Name = c.List
	if l.Scope != c.Scope {
		l.Scope = c.Scope
		b.step(EditMove, Row{Scope: c.Scope, Source: c.ListID})
	}
	b.touch()
}
