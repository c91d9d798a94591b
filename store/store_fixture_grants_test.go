package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
)

// fixtureGrants are the grants that are left in the fixture, by name.
func fixtureGrants() []access.Grant {
	checker := tokenGrant("dialer", access.Checker)
	checker.Scopes, checker.ExpiresAt = []policy.Scope{"acme", "other/desk"}, day(400)
	return []access.Grant{
		{Name: "CN of the desk", Kind: access.Certificate, Roles: access.RolesOf(access.Recorder, access.Officer)},
		tokenGrant("admin", access.Admin),
		checker,
		tokenGrant("loader", access.Loader, access.Subscriber),
	}
}

// writeGrantsFixture leaves half of the grants in tables and half in the logs of a store that was killed, some revoked, and an
// access log.
func writeGrantsFixture(t *testing.T, dir string) {
	grants := fixtureGrants()
	s := openAt(t, dir, clockAt(day(8)))
	createGrant(t, s, grants[0])
	createGrant(t, s, grants[1])
	createGrant(t, s, tokenGrant("loader", access.Everything.Each()...))
	createGrant(t, s, tokenGrant("gone", access.Checker))
	logAccess(t, s, "gone")
	closeStore(t, s)
	s = openFixture(t, dir)
	revokeGrant(t, s, "loader")
	revokeGrant(t, s, "gone")
	createGrant(t, s, grants[2])
	createGrant(t, s, grants[3])
	logAccess(t, s, "CN of the desk") // it stays open: what lies there now is what a kill leaves
}

func wantGrantsFixture(t *testing.T, s *Store) {
	t.Helper()
	want := fixtureGrants()
	for i, revision := range []uint64{1, 2, 7, 8} {
		want[i].ID.Revision, want[i].CreatedAt = revision, day(8)
		if revision > 4 {
			want[i].CreatedAt = day(9)
		}
	}
	var got []access.Grant
	for _, g := range s.View().Access().All() {
		got = append(got, *g)
		if by := s.View().GrantedBy(g); by != "root" {
			t.Errorf("%s was granted by %q, want root", g.Name, by)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	if all := allActs(t, s.View(), ActsQuery{Limit: 3}, 5); len(all) != 8 || all[4].Kind != ActTokenRevoked || all[4].Subject != "loader" {
		t.Errorf("acts: got %+v, want 8 of which the fifth revoked a token", all)
	}
	wantAccess(t, s, "gone", "CN of the desk")
}
