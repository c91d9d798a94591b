package store

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// grantBook is what the journal says of grants, by name.
type grantBook map[string]*storev1.GrantState

// follow takes an event of a revision of that time, as a replay applies it.
func (b grantBook) follow(id policy.EventID, time int64, e *storev1.Event) {
	if r := e.GetTokenRevoked(); r != nil {
		delete(b, r.GetName())
	}
	c := e.GetTokenCreated()
	if c == nil {
		return
	}
	for name, g := range b {
		if state.SameGrant(g.GetGranted(), c) {
			delete(b, name)
		}
	}
	b[c.GetName()] = &storev1.GrantState{
		Revision: id.Revision, Index: id.Index, CreatedTime: time, StoryHash: e.GetStoryHash(), Granted: c,
	}
}

// grantStates holds every grant of the state against the journal: none is missing, and none is there that was revoked.
func (c *checker) grantStates() error {
	if len(c.r.Lost) > 0 {
		return nil // what they granted and revoked is not known
	}
	held := 0
	for g, err := range state.Grants(c.txn) {
		if err != nil {
			return err
		}
		if _, err := state.Grant(g); err != nil {
			return err
		}
		if !proto.Equal(g, c.grants[g.GetGranted().GetName()]) {
			return fmt.Errorf("%w: a grant is not the one of the journal", ErrDamaged)
		}
		held++
	}
	if held < len(c.grants) {
		return fmt.Errorf("%w: %d grants of the journal are missing", ErrDamaged, len(c.grants)-held)
	}
	return nil
}
