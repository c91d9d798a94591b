package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// DeskKind is what a desk is, numbered as the contract's dnc.v1.DeskKind.
type DeskKind uint8

// MaxDeskKind is the last kind of a desk.
const MaxDeskKind DeskKind = 6

// DeskSettings is what a person says of a desk.
type DeskSettings struct {
	Name    string // as it was registered
	Kind    DeskKind
	Owner   string
	Contact string
}

// Desk is a desk as one view has it. It never changes.
type Desk struct {
	DeskSettings
	ID              policy.EventID
	CreatedAt       time.Time
	UpdatedAt       time.Time
	UpdatedRevision uint64
	RemovedAt       time.Time // zero: it was not
}

func compileDesk(id policy.EventID, st *storev1.DeskState) *Desk {
	set := st.GetSettings()
	return &Desk{
		DeskSettings:    DeskSettings{Name: set.GetName(), Kind: DeskKind(set.GetKind()), Owner: set.GetOwner(), Contact: set.GetContact()},
		ID:              id,
		CreatedAt:       state.Time(st.GetCreatedTime()),
		UpdatedAt:       state.Time(st.GetUpdatedTime()),
		UpdatedRevision: st.GetUpdatedRevision(),
		RemovedAt:       state.Time(st.GetRemovedTime()),
	}
}

func (s *DeskSettings) message() *storev1.DeskSettings {
	return &storev1.DeskSettings{Name: s.Name, Kind: uint32(s.Kind), Owner: s.Owner, Contact: s.Contact}
}

// check returns ErrDeskSettings with what is wrong.
func (s *DeskSettings) check() error {
	wrong := func(why string) error { return fmt.Errorf("%w: %s", ErrDeskSettings, why) }
	switch {
	case state.FoldDesk(s.Name) == "" || len(s.Name) > MaxDeskName:
		return wrong(fmt.Sprintf("a name has 1 to %d bytes", MaxDeskName))
	case access.MayBeNumber(s.Name):
		return wrong("a name has at most 8 digits without a letter between them: it must not hold a phone number")
	case s.Kind > MaxDeskKind:
		return wrong("unknown kind")
	case len(s.Owner) > MaxOwner || len(s.Contact) > MaxOwner:
		return wrong(fmt.Sprintf("owner and contact have at most %d bytes", MaxOwner))
	}
	return nil
}

// MaxDeskName is how long the name of a desk is at most, in bytes.
const MaxDeskName = 256

// Desks are the desks of a view, without those that were removed. It never changes.
type Desks struct {
	byName []*Desk // as folded
	folded map[string]*Desk
}

func newDesks(all []*Desk) *Desks {
	t := &Desks{byName: all, folded: make(map[string]*Desk, len(all))}
	for _, d := range all {
		t.folded[state.FoldDesk(d.Name)] = d
	}
	slices.SortFunc(all, func(a, b *Desk) int {
		return cmp.Or(strings.Compare(state.FoldDesk(a.Name), state.FoldDesk(b.Name)), compareIDs(a.ID, b.ID))
	})
	return t
}

// All are all of them, by name.
func (t *Desks) All() []*Desk {
	if t == nil {
		return nil
	}
	return t.byName
}

// After are those behind a name, by name.
func (t *Desks) After(name string) []*Desk {
	folded := state.FoldDesk(name)
	i, found := slices.BinarySearchFunc(t.All(), folded, func(d *Desk, folded string) int { return strings.Compare(state.FoldDesk(d.Name), folded) })
	if found {
		i++
	}
	return t.All()[i:]
}

// Named is the desk that a text names, whatever its case and the spaces around it; nil: there is none.
func (t *Desks) Named(text string) *Desk {
	if t == nil || len(t.folded) == 0 || text == "" {
		return nil
	}
	return t.folded[state.FoldDesk(text)]
}
