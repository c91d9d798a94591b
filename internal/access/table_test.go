package access

import (
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

func TestTableFindsEachByWhatItShows(t *testing.T) {
	t.Parallel()
	token := &Grant{ID: policy.EventID{Revision: 2}, Name: "b", Kind: Token, Secret: SecretOf("dncd_b")}
	cert := &Grant{ID: policy.EventID{Revision: 1}, Name: "a", Kind: Certificate}
	table := NewTable([]*Grant{token, cert})
	if got := table.All(); len(got) != 2 || got[0] != cert || got[1] != token {
		t.Errorf("got %v, want both by name", got)
	}
	for name, c := range map[string]struct{ got, want *Grant }{
		"a token by its secret":        {table.Token(SecretOf("dncd_b")), token},
		"another secret":               {table.Token(SecretOf("dncd_c")), nil},
		"a certificate as a token":     {table.Token(Secret{}), nil},
		"a certificate by its name":    {table.Certificate("a"), cert},
		"a token's name as one":        {table.Certificate("b"), nil},
		"by name":                      {table.Named("b"), token},
		"a name that nobody has":       {table.Named("c"), nil},
		"a token of no table":          {(*Table)(nil).Token(SecretOf("dncd_b")), nil},
		"a certificate of no table":    {(*Table)(nil).Certificate("a"), nil},
		"a name in no table":           {(*Table)(nil).Named("a"), nil},
		"no secret where no token has": {NewTable([]*Grant{cert}).Token(Secret{}), nil},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, c.got, c.want)
		}
	}
	again := *token
	again.ID.Revision = 3
	if !table.Current(token) || table.Current(&again) || table.Current(&Grant{Name: "c"}) {
		t.Error("want the grant that the table holds, and no other of its name, to be current")
	}
}

// Who rules all is an admin whom no scope bounds and who has not expired.
func TestTableKnowsWhetherItHasAnAdmin(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_780_000_000, 0)
	for name, c := range map[string]struct {
		grant Grant
		want  bool
	}{
		"an admin":              {Grant{Roles: RolesOf(Admin, Checker)}, true},
		"one that ends later":   {Grant{Roles: RolesOf(Admin), ExpiresAt: now.Add(1)}, true},
		"one that ends now":     {Grant{Roles: RolesOf(Admin), ExpiresAt: now}, false},
		"one bound to a scope":  {Grant{Roles: RolesOf(Admin), Scopes: []policy.Scope{"acme"}}, false},
		"every role but admin":  {Grant{Roles: Everything &^ RolesOf(Admin)}, false},
		"a grant of no role":    {Grant{}, false},
		"the grant of everyone": {*Open, true},
	} {
		if got := NewTable([]*Grant{&c.grant}).HasAdmin(now); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if (*Table)(nil).HasAdmin(now) {
		t.Error("no table has an admin")
	}
}
