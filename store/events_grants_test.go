package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
	"github.com/dncd/dncd/store/internal/state"
)

func tokenGrant(name string, roles ...access.Role) access.Grant {
	return access.Grant{Name: name, Kind: access.Token, Secret: access.SecretOf(name), Roles: access.RolesOf(roles...)}
}

func createGrant(t testing.TB, s *Store, g access.Grant) *access.Grant {
	t.Helper()
	made, _, err := s.CreateGrant(context.Background(), g, Request{Story: Story{RecordedBy: "root", Proven: true}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func revokeGrant(t testing.TB, s *Store, name string) {
	t.Helper()
	if _, err := s.RevokeGrant(context.Background(), name, Request{}); err != nil {
		t.Fatal(err)
	}
}

// grantNames are the names in the store's table.
func grantNames(s *Store) (names []string) {
	for _, g := range s.View().Access().All() {
		names = append(names, g.Name)
	}
	return names
}

func wantGrants(t *testing.T, s *Store, want ...string) {
	t.Helper()
	if got := grantNames(s); !slices.Equal(got, want) {
		t.Errorf("granted: got %v, want %v", got, want)
	}
}

// A grant counts from its commit on, in the newest view and in a store that is opened again, until it is revoked.
func TestGrantCountsUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	dir, end := t.TempDir(), day(40)
	clock := clockAt(day(8))
	s := openAt(t, dir, clock)
	wantGrants(t, s)
	token := access.Grant{
		Name: "dialer-1", Kind: access.Token, Secret: access.SecretOf("dncd_1"), Roles: access.RolesOf(access.Checker, access.Recorder),
		Scopes: []policy.Scope{"acme", "other/desk"}, ExpiresAt: end,
	}
	made := createGrant(t, s, token)
	createGrant(t, s, access.Grant{Name: "CN of the desk", Kind: access.Certificate, Roles: access.RolesOf(access.Officer)})
	token.ID, token.CreatedAt = policy.EventID{Revision: 1}, day(8)
	for _, again := range []bool{false, true} {
		if again {
			closeStore(t, s)
			s = openAt(t, dir, clock)
		}
		table := s.View().Access()
		if diff := cmp.Diff(&token, table.Token(access.SecretOf("dncd_1"))); diff != "" {
			t.Errorf("opened again %v: the token (-want +got):\n%s", again, diff)
		}
		if g := table.Certificate("CN of the desk"); g == nil || g.Roles != access.RolesOf(access.Officer) {
			t.Errorf("opened again %v: the certificate: got %+v", again, g)
		}
		if table.Certificate("dialer-1") != nil || table.Token(access.Secret{}) != nil {
			t.Errorf("opened again %v: a token is found as a certificate, or a certificate as a token", again)
		}
		if by := s.View().GrantedBy(made); by != "root" {
			t.Errorf("granted by %q, want root", by)
		}
	}
	revokeGrant(t, s, "dialer-1")
	if s.View().Access().Token(token.Secret) != nil {
		t.Error("the token still counts after it was revoked")
	}
	wantGrants(t, s, "CN of the desk")
	again := createGrant(t, s, token)
	if again.ID == made.ID || s.View().Access().Current(made) || !s.View().Access().Current(again) {
		t.Errorf("granted again: got id %v, want another than %v", again.ID, made.ID)
	}
	if by := s.View().GrantedBy(made); by != "" {
		t.Errorf("a grant that was revoked was granted by %q, want nothing", by)
	}
	past, err := s.ViewAt(1)
	must(t, err)
	if got := past.Access().All(); len(got) > 0 {
		t.Errorf("a view of the past grants %d names, want none", len(got))
	}
}

// The table is made anew by a commit that changes a grant, and by no other.
func TestTableOfGrantsIsKept(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createGrant(t, s, tokenGrant("a", access.Checker))
	before := s.View().Access()
	optOut(t, s, fiction(415, 1), "acme")
	if s.View().Access() != before {
		t.Error("an opt-out made the table anew")
	}
	createGrant(t, s, tokenGrant("b", access.Checker))
	if s.View().Access() == before || before.Named("b") != nil {
		t.Error("a grant did not make the table anew, or changed the one before")
	}
}

func TestGrantIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createGrant(t, s, tokenGrant("a", access.Checker))
	createGrant(t, s, access.Grant{Name: "cert", Kind: access.Certificate, Roles: access.RolesOf(access.Checker)})
	before := s.View()
	with := func(change func(*access.Grant)) access.Grant {
		g := tokenGrant("b", access.Checker)
		change(&g)
		return g
	}
	for name, c := range map[string]struct {
		grant access.Grant
		want  error
	}{
		"name in use":                  {with(func(g *access.Grant) { g.Name = "a" }), ErrTokenExists},
		"name of a certificate in use": {with(func(g *access.Grant) { g.Name = "cert" }), ErrTokenExists},
		"secret in use":                {with(func(g *access.Grant) { g.Secret = access.SecretOf("a") }), ErrTokenExists},
		"no role":                      {with(func(g *access.Grant) { g.Roles = 0 }), access.ErrGrant},
		"an end that is stored as no":  {with(func(g *access.Grant) { g.ExpiresAt = time.Unix(0, 0) }), state.ErrTime},
		"an end that cannot be stored": {with(func(g *access.Grant) { g.ExpiresAt = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) }), state.ErrTime},
	} {
		if _, _, err := s.CreateGrant(context.Background(), c.grant, Request{}); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := s.RevokeGrant(context.Background(), "nobody", Request{}); !errors.Is(err, ErrTokenNotFound) {
		t.Errorf("revoke nobody: got %v, want ErrTokenNotFound", err)
	}
	if s.View() != before {
		t.Errorf("refusals led to revision %d", s.View().Revision())
	}
}

// The last who may grant everything is revoked only when that is confirmed.
func TestLastAdminIsKept(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	createGrant(t, s, tokenGrant("admin", access.Admin))
	bounded := tokenGrant("bounded", access.Admin)
	bounded.Scopes = []policy.Scope{"acme"}
	createGrant(t, s, bounded)
	ends := tokenGrant("ends", access.Admin)
	ends.ExpiresAt = day(9)
	createGrant(t, s, ends)
	clock.set(day(10))
	before := s.View()
	_, err := s.RevokeGrant(context.Background(), "admin", Request{})
	if !errors.Is(err, ErrUnconfirmed) || err.Error() != "no admin would be left" || s.View() != before {
		t.Fatalf("the last admin: got %v, want ErrUnconfirmed and nothing written", err)
	}
	revokeGrant(t, s, "ends") // it has none of its own to lose
	createGrant(t, s, tokenGrant("other", access.Admin))
	release := holdCommitter(t, s)
	revoke := func(name string) *pendingEvent {
		return queued(t, s, &storev1.Event{Change: &storev1.Event_TokenRevoked{TokenRevoked: &storev1.TokenRevoked{Name: name}}}, Request{})
	}
	first, second := revoke("admin"), revoke("other")
	release()
	if a := <-first.replies; a.err != nil {
		t.Errorf("one of two admins: got %v", a.err)
	}
	if a := <-second.replies; !errors.Is(a.err, ErrUnconfirmed) {
		t.Errorf("the other, in the same group: got %v, want ErrUnconfirmed", a.err)
	}
	if !s.View().Access().HasAdmin(s.Now()) {
		t.Error("no admin is left")
	}
	if _, err := s.RevokeGrant(context.Background(), "other", Request{Confirmed: true}); err != nil {
		t.Errorf("confirmed: got %v", err)
	}
	if s.View().Access().HasAdmin(s.Now()) {
		t.Error("an admin is left, want none but the bounded one")
	}
}

func TestGrantIsMadeOncePerRequest(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	g, r := tokenGrant("a", access.Checker), Request{ID: "1"}
	made, first, err := s.CreateGrant(context.Background(), g, r)
	must(t, err)
	again, second, err := s.CreateGrant(context.Background(), g, r)
	if err != nil || !second.Duplicate || second.ID != first.ID || again != made {
		t.Errorf("a repeat: got %+v, %v; want the first receipt", second, err)
	}
	if _, _, err := s.CreateGrant(context.Background(), tokenGrant("b", access.Checker), r); !errors.Is(err, ErrRequestReused) {
		t.Errorf("another grant under the same id: got %v, want ErrRequestReused", err)
	}
	for range 2 {
		if _, err := s.RevokeGrant(context.Background(), "a", Request{ID: "2"}); err != nil {
			t.Errorf("revoked under one id: got %v", err)
		}
	}
	if _, _, err := s.CreateGrant(context.Background(), g, r); !errors.Is(err, ErrTokenNotFound) {
		t.Errorf("a repeat after it was revoked: got %v, want ErrTokenNotFound", err)
	}
}

// putState writes a value of the state past the journal.
func putState(t *testing.T, s *Store, key, value []byte) {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), true)
	defer txn.Discard()
	if value == nil {
		must(t, txn.Delete(key))
	} else {
		must(t, txn.Set(key, value))
	}
	must(t, txn.CommitAt(s.View().Revision(), nil))
}

// A grant that cannot be read grants nothing, and the store is damaged; others still count.
func TestDamagedGrantGrantsNothing(t *testing.T) {
	t.Parallel()
	unknown := func(change func(*storev1.TokenCreated)) []byte {
		g := tokenGrant("a", access.Checker)
		m := grantMessage(&g)
		change(m)
		b, err := proto.Marshal(&storev1.GrantState{Revision: 1, Granted: m})
		must(t, err)
		return seal.Value(keys.Grant("a"), b)
	}
	for name, value := range map[string][]byte{
		"no checksum":        []byte("damaged"),
		"a role of later":    unknown(func(m *storev1.TokenCreated) { m.Roles |= 1 << 12 }),
		"a kind of later":    unknown(func(m *storev1.TokenCreated) { m.Kind = 256 + uint32(access.Token) }),
		"a short secret":     unknown(func(m *storev1.TokenCreated) { m.SecretSha256 = m.SecretSha256[1:] }),
		"an empty scope":     unknown(func(m *storev1.TokenCreated) { m.Scopes = []string{""} }),
		"a secret of nobody": unknown(func(m *storev1.TokenCreated) { m.Kind = uint32(access.Certificate) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			createGrant(t, s, tokenGrant("a", access.Checker))
			createGrant(t, s, tokenGrant("b", access.Checker))
			putState(t, s, keys.Grant("a"), value)
			closeStore(t, s)
			if r := mustFsck(t, dir); r.OK() {
				t.Error("fsck finds nothing")
			}
			s = open(t, dir)
			if cause := s.State().Cause; !errors.Is(cause, ErrDamaged) {
				t.Errorf("state %v, want ErrDamaged", cause)
			}
			wantGrants(t, s, "b")
			closeStore(t, s)
			_, err := Repair(context.Background(), dir, false, testOptions())
			must(t, err)
			wantGrants(t, open(t, dir), "a", "b")
		})
	}
}

// fsck sees a grant that the journal has and the state lacks, and one that was revoked and is there.
func TestFsckHoldsGrantsAgainstTheJournal(t *testing.T) {
	t.Parallel()
	for name, revoked := range map[string]bool{"one is missing": false, "one was revoked": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			createGrant(t, s, tokenGrant("a", access.Checker))
			createGrant(t, s, tokenGrant("b", access.Checker))
			txn := s.db.NewTransactionAt(s.View().Revision(), false)
			item, err := txn.Get(keys.Grant("a"))
			must(t, err)
			value, err := item.ValueCopy(nil)
			must(t, err)
			txn.Discard()
			if revoked {
				revokeGrant(t, s, "a")
			} else {
				value = nil
			}
			putState(t, s, keys.Grant("a"), value)
			closeStore(t, s)
			if r := mustFsck(t, dir); r.OK() || len(r.Problems) != 1 {
				t.Errorf("fsck: got %v, want one problem", r.Problems)
			}
		})
	}
}

// copyOf is what a kill leaves of a store that is open.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "d")
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// Grants are there again after a kill, a repair, and in a copy that was put back; what was revoked is not.
func TestGrantsOutliveTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createGrant(t, s, tokenGrant("a", access.Admin))
	createGrant(t, s, tokenGrant("b", access.Checker))
	createGrant(t, s, tokenGrant("c", access.Checker))
	revokeGrant(t, s, "b")
	want := s.View().Access()
	killed := copyOf(t, dir)
	closeStore(t, s)
	copied, harmed := copyOf(t, dir), copyOf(t, dir)
	mustRestore(t, copied)
	must(t, os.Remove(filepath.Join(harmed, "badger", "MANIFEST")))
	r, err := Repair(context.Background(), harmed, false, testOptions())
	if err != nil || !r.Repaired || len(r.DoubtfulGrants) > 0 {
		t.Fatalf("repair: got %+v, %v", r, err)
	}
	for name, dir := range map[string]string{"killed": killed, "put back": copied, "repaired": harmed} {
		s := open(t, dir)
		if diff := cmp.Diff(want.All(), s.View().Access().All()); s.State().Cause != nil || diff != "" {
			t.Errorf("%s: state %v, grants (-want +got):\n%s", name, s.State().Cause, diff)
		}
		if by := s.View().GrantedBy(want.Named("a")); by != "root" {
			t.Errorf("%s: granted by %q, want root", name, by)
		}
		closeStore(t, s)
		if r := mustFsck(t, dir); !r.OK() {
			t.Errorf("%s: fsck: %v", name, r.Problems)
		}
	}
}

// damageRevision flips a bit of a revision where it lies in a file, and leaves what else its commit wrote.
func damageRevision(t *testing.T, s *Store, path string, revision uint64) {
	t.Helper()
	txn := s.db.NewTransactionAt(revision, false)
	defer txn.Discard()
	item, err := txn.Get(journal.Key(revision))
	must(t, err)
	value, err := item.ValueCopy(nil)
	must(t, err)
	b, err := os.ReadFile(path)
	must(t, err)
	at := bytes.Index(b, value)
	if at < 0 {
		t.Fatalf("revision %d is not in %s", revision, filepath.Base(path))
	}
	b[at+len(value)/2] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
}

// After a loss that was accepted, what the lost revisions granted is gone, and what they may have revoked is named.
func TestLostRevisionsLeaveGrantsInDoubt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createGrant(t, s, tokenGrant("a", access.Admin))
	createGrant(t, s, tokenGrant("b", access.Checker))
	closeStore(t, s)
	s = open(t, dir)
	release := holdCommitter(t, s)
	c := tokenGrant("c", access.Checker)
	one := queued(t, s, &storev1.Event{Change: &storev1.Event_TokenCreated{TokenCreated: grantMessage(&c)}}, Request{})
	queued(t, s, &storev1.Event{Change: &storev1.Event_TokenRevoked{TokenRevoked: &storev1.TokenRevoked{Name: "b"}}}, Request{})
	release()
	if a := <-one.replies; a.err != nil || a.receipt.ID.Revision != 3 {
		t.Fatalf("got %+v, %v; want both in revision 3", a.receipt, a.err)
	}
	wantGrants(t, s, "a", "c")
	d := damagedStore{dir: copyOf(t, dir)}
	damageRevision(t, s, d.file(t, "badger/*.mem"), 3)
	for _, accept := range []bool{false, true} {
		r, err := Repair(context.Background(), d.dir, accept, testOptions())
		if accept != (err == nil) || !accept && !errors.Is(err, ErrLoss) {
			t.Fatalf("repair, accepted %v: got %v; %+v", accept, err, r)
		}
		if want := []string{"a", "b"}; !slices.Equal(r.DoubtfulGrants, want) {
			t.Errorf("accepted %v: in doubt: got %v, want %v", accept, r.DoubtfulGrants, want)
		}
	}
	if r := mustFsck(t, d.dir); !r.OK() {
		t.Errorf("after it: %v", r.Problems)
	}
	wantGrants(t, open(t, d.dir), "a", "b")
}

// A journal that grants a name or a secret twice lost a revocation between: the later grant counts, and the other is gone.
func TestReplayOfALostRevocation(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createGrant(t, s, tokenGrant("a", access.Admin))
	createGrant(t, s, tokenGrant("b", access.Checker))
	again := tokenGrant("a", access.Checker)
	again.Secret = access.SecretOf("b")
	e := &storev1.Event{Change: &storev1.Event_TokenCreated{TokenCreated: grantMessage(&again)}}
	txn := s.db.NewTransactionAt(s.View().Revision(), true)
	defer txn.Discard()
	if _, err := apply.Replay(txn, 3, &storev1.Revision{Time: 1}).Apply(0, e); err != nil {
		t.Fatal(err)
	}
	table, err := readAccess(txn)
	must(t, err)
	if all := table.All(); len(all) != 1 || all[0].Name != "a" || all[0].Secret != again.Secret || all[0].ID.Revision != 3 {
		t.Errorf("got %+v, want the later grant alone", all)
	}
	book := grantBook{}
	for i, g := range []access.Grant{tokenGrant("a", access.Admin), tokenGrant("b", access.Checker), again} {
		book.follow(state.EventID(uint64(i)+1, 0), 1, &storev1.Event{Change: &storev1.Event_TokenCreated{TokenCreated: grantMessage(&g)}})
	}
	if len(book) != 1 || book["a"].GetRevision() != 3 {
		t.Errorf("fsck follows it to %v, want the later grant alone", book)
	}
}
