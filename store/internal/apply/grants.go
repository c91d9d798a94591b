package apply

import (
	"time"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// createGrant grants what c says. In a replay, a name or secret that is in use was free when the event was recorded, because of
// a revocation that was lost: the older grant is deleted.
func (a *Applier) createGrant(id policy.EventID, c *storev1.TokenCreated, story []byte) error {
	inUse, err := a.grantsLike(c)
	if err != nil {
		return err
	}
	for _, name := range inUse {
		if !a.replay {
			return fault.ErrTokenExists
		}
		if err := a.deleteGrant(name); err != nil {
			return err
		}
	}
	a.Grants = true
	return a.put(keys.Grant(c.GetName()), &storev1.GrantState{
		Revision: id.Revision, Index: id.Index, CreatedTime: a.Time, StoryHash: story, Granted: c,
	})
}

// grantsLike returns the names of the grants that have the name or the secret of c.
func (a *Applier) grantsLike(c *storev1.TokenCreated) (names []string, err error) {
	for g, err := range state.Grants(a.txn) {
		if err != nil {
			return nil, err
		}
		if state.SameGrant(g.GetGranted(), c) {
			names = append(names, g.GetGranted().GetName())
		}
	}
	return names, nil
}

func (a *Applier) revokeGrant(c *storev1.TokenRevoked) error {
	var g storev1.GrantState
	found, err := a.get(keys.Grant(c.GetName()), &g)
	if err != nil {
		return err
	}
	if !found {
		return fault.ErrTokenNotFound
	}
	if !c.GetForce() && !a.replay {
		last, err := a.isLastAdmin(&g)
		if err != nil {
			return err
		}
		if last {
			return fault.Unconfirmed("no admin would be left")
		}
	}
	return a.deleteGrant(c.GetName())
}

// isLastAdmin reports whether g is an admin without scopes and no other grant is.
func (a *Applier) isLastAdmin(g *storev1.GrantState) (bool, error) {
	now := time.Unix(0, a.Time)
	rules := func(g *storev1.GrantState) (bool, error) {
		grant, err := state.Grant(g)
		return err == nil && grant.RulesAll(now), err
	}
	last, err := rules(g)
	if err != nil || !last {
		return false, err
	}
	for other, err := range state.Grants(a.txn) {
		if err != nil {
			return false, err
		}
		if other.GetGranted().GetName() == g.GetGranted().GetName() {
			continue
		}
		if also, err := rules(other); err != nil || also {
			return false, err
		}
	}
	return true, nil
}

func (a *Applier) deleteGrant(name string) error {
	a.Grants = true
	key := keys.Grant(name)
	a.Bytes += len(key)
	return a.txn.Delete(key)
}
