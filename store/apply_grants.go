package store

import (
	"bytes"
	"iter"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
)

// createGrant grants what c says. In a replay a name or a secret that is in use was free then, by a revocation that was
// lost: what used it goes.
func (a *applier) createGrant(id policy.EventID, c *storev1.TokenCreated, story []byte) error {
	inUse, err := a.grantsLike(c)
	if err != nil {
		return err
	}
	for _, name := range inUse {
		if !a.replay {
			return ErrTokenExists
		}
		if err := a.deleteGrant(name); err != nil {
			return err
		}
	}
	a.grants = true
	return a.put(keys.Grant(c.GetName()), &storev1.GrantState{
		Revision: id.Revision, Index: id.Index, CreatedTime: a.time, StoryHash: story, Granted: c,
	})
}

// grantsLike are the names of the grants that have the name or the secret of c.
func (a *applier) grantsLike(c *storev1.TokenCreated) (names []string, err error) {
	for g, err := range storedGrants(a.txn) {
		if err != nil {
			return nil, err
		}
		if sameGrant(g.GetGranted(), c) {
			names = append(names, g.GetGranted().GetName())
		}
	}
	return names, nil
}

func sameGrant(a, b *storev1.TokenCreated) bool {
	return a.GetName() == b.GetName() || len(a.GetSecretSha256()) > 0 && bytes.Equal(a.GetSecretSha256(), b.GetSecretSha256())
}

func (a *applier) revokeGrant(c *storev1.TokenRevoked) error {
	var g storev1.GrantState
	found, err := a.get(keys.Grant(c.GetName()), &g)
	if err != nil {
		return err
	}
	if !found {
		return ErrTokenNotFound
	}
	if !c.GetForce() && !a.replay {
		last, err := a.isLastAdmin(&g)
		if err != nil {
			return err
		}
		if last {
			return unconfirmed("no admin would be left")
		}
	}
	return a.deleteGrant(c.GetName())
}

// isLastAdmin reports whether only g may grant everything.
func (a *applier) isLastAdmin(g *storev1.GrantState) (bool, error) {
	now := time.Unix(0, a.time)
	rules := func(g *storev1.GrantState) (bool, error) {
		grant, err := grantOf(g)
		return err == nil && grant.RulesAll(now), err
	}
	last, err := rules(g)
	if err != nil || !last {
		return false, err
	}
	for other, err := range storedGrants(a.txn) {
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

func (a *applier) deleteGrant(name string) error {
	a.grants = true
	key := keys.Grant(name)
	a.bytes += len(key)
	return a.txn.Delete(key)
}

// storedGrants yields every grant that the transaction sees, by name, and an error in place of one that cannot be read.
func storedGrants(txn *badger.Txn) iter.Seq2[*storev1.GrantState, error] {
	return func(yield func(*storev1.GrantState, error) bool) {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = []byte{keys.KindGrant}
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key, g := it.Item().KeyCopy(nil), new(storev1.GrantState)
			err := it.Item().Value(func(v []byte) error { return decodeMessage(key, v, g) })
			if !yield(g, err) {
				return
			}
		}
	}
}

// isGrant reports whether this version knows all that is granted, and to whom.
func isGrant(c *storev1.TokenCreated) bool {
	known := c.GetRoles() != 0 && c.GetRoles()&^uint32(access.Everything) == 0 && !slices.Contains(c.GetScopes(), "")
	switch c.GetKind() {
	case uint32(access.Token):
		return known && len(c.GetSecretSha256()) == len(access.Secret{})
	case uint32(access.Certificate):
		return known && len(c.GetSecretSha256()) == 0
	}
	return false
}

// grantOf is what a stored grant grants. One that this version cannot read in full grants nothing: it is damage.
func grantOf(st *storev1.GrantState) (*access.Grant, error) {
	c := st.GetGranted()
	g := &access.Grant{
		ID:        policy.EventID{Revision: st.GetRevision(), Index: st.GetIndex()},
		Name:      c.GetName(),
		Kind:      access.Kind(c.GetKind()),
		Roles:     access.Roles(c.GetRoles()),
		ExpiresAt: nanoTime(c.GetExpiresAt()),
		CreatedAt: nanoTime(st.GetCreatedTime()),
	}
	copy(g.Secret[:], c.GetSecretSha256())
	for _, s := range c.GetScopes() {
		g.Scopes = append(g.Scopes, policy.Scope(s))
	}
	if !isGrant(c) {
		return nil, fault.DamagedKey(keys.Grant(c.GetName()))
	}
	return g, nil
}
