package access

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// services are those of the contract.
var services = []protoreflect.FileDescriptor{
	dncv1.File_dnc_v1_access_proto, dncv1.File_dnc_v1_admin_proto, dncv1.File_dnc_v1_audit_proto, dncv1.File_dnc_v1_check_proto,
	dncv1.File_dnc_v1_error_proto, dncv1.File_dnc_v1_import_proto, dncv1.File_dnc_v1_list_proto, dncv1.File_dnc_v1_policy_proto,
	dncv1.File_dnc_v1_propagation_proto, dncv1.File_dnc_v1_record_proto, dncv1.File_dnc_v1_types_proto,
}

func TestEveryRPCHasARule(t *testing.T) {
	left := map[string]bool{}
	for rpc := range Rules {
		left[rpc] = true
	}
	for _, file := range services {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				rpc := string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
				if !left[rpc] {
					t.Errorf("%s has no rule: got none, want a line in rules.go", rpc)
				}
				delete(left, rpc)
			}
		}
	}
	for rpc := range left {
		t.Errorf("%s has a rule and is not in the contract", rpc)
	}
}

// TestEveryFileOfTheContractIsWalked fails when a new .proto file is not in services.
func TestEveryFileOfTheContractIsWalked(t *testing.T) {
	if got, want := len(services), protoFiles(t); got != want {
		t.Errorf("got %d files walked, want the %d of proto/dnc/v1", got, want)
	}
}

// protoFiles counts the contract's .proto files.
func protoFiles(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("../../proto/dnc/v1/*.proto")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestRolesAreThoseOfTheContract(t *testing.T) {
	for n, name := range dncv1.Role_name {
		if n == 0 {
			continue
		}
		if got, want := "ROLE_"+strings.ToUpper(Role(n).String()), name; got != want {
			t.Errorf("role %d: got %s, want %s", n, got, want)
		}
		if !Everything.Has(Role(n)) {
			t.Errorf("%s: not in Everything", name)
		}
	}
	if got, want := len(Everything.Each()), len(dncv1.Role_name)-1; got != want {
		t.Errorf("got %d roles, want %d", got, want)
	}
	if got, want := RolesOf(Recorder, Officer).String(), "recorder or officer"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGrantHoldsItsScopesAndBelow(t *testing.T) {
	g := &Grant{Scopes: []policy.Scope{"acme", "other/brand"}}
	for scope, want := range map[policy.Scope]struct{ holds, sees bool }{
		"acme":              {true, true},
		"acme/telecom":      {true, true},
		"other/brand":       {true, true},
		"":                  {false, true}, // above both
		"other":             {false, true},
		"other/brand2":      {false, false},
		"acme2":             {false, false},
		"third/party":       {false, false},
		"other/brand/x/y/z": {true, true},
	} {
		if got := g.Holds(scope); got != want.holds {
			t.Errorf("Holds(%q): got %v, want %v", scope, got, want.holds)
		}
		if got := g.Sees(scope); got != want.sees {
			t.Errorf("Sees(%q): got %v, want %v", scope, got, want.sees)
		}
	}
	everywhere := &Grant{}
	for _, scope := range []policy.Scope{"", "acme"} {
		if !everywhere.Holds(scope) || !everywhere.Sees(scope) {
			t.Errorf("a grant without scopes: got it bounded at %q, want it everywhere", scope)
		}
	}
}

func TestGrantExpiresAtItsSecond(t *testing.T) {
	end := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	g := &Grant{ExpiresAt: end}
	for _, c := range []struct {
		now  time.Time
		want bool
	}{{end.Add(-time.Nanosecond), false}, {end, true}, {end.Add(time.Hour), true}} {
		if got := g.Expired(c.now); got != c.want {
			t.Errorf("at %v: got %v, want %v", c.now, got, c.want)
		}
	}
	if (&Grant{}).Expired(end) {
		t.Error("a grant without an end: got expired, want not")
	}
}

func TestGrantsThatCannotBeMade(t *testing.T) {
	good := func() *Grant {
		return &Grant{Name: "dialer-7", Kind: Token, Secret: SecretOf("dncd_x"), Roles: RolesOf(Checker)}
	}
	if err := good().Check(); err != nil {
		t.Fatalf("a good grant: got %v, want no error", err)
	}
	for name, change := range map[string]func(*Grant){
		"no name":                     func(g *Grant) { g.Name = "" },
		"a long name":                 func(g *Grant) { g.Name = strings.Repeat("a", MaxTokenName+1) },
		"a space in a token's name":   func(g *Grant) { g.Name = "a b" },
		"a number for a name":         func(g *Grant) { g.Name = "+1-415-555-0123" },
		"a line break in a name":      func(g *Grant) { g.Kind, g.Secret, g.Name = Certificate, Secret{}, "a\nb" },
		"no role":                     func(g *Grant) { g.Roles = 0 },
		"a role that is none":         func(g *Grant) { g.Roles = 1 << 12 },
		"an empty scope":              func(g *Grant) { g.Scopes = []policy.Scope{""} },
		"too many scopes":             func(g *Grant) { g.Scopes = make([]policy.Scope, MaxScopes+1) },
		"a token without a secret":    func(g *Grant) { g.Secret = Secret{} },
		"a certificate with a secret": func(g *Grant) { g.Kind = Certificate },
		"no kind":                     func(g *Grant) { g.Kind = Anonymous },
	} {
		g := good()
		change(g)
		if err := g.Check(); !errors.Is(err, ErrGrant) {
			t.Errorf("%s: got %v, want ErrGrant", name, err)
		}
	}
	certificate := &Grant{Name: "Jane Doe, Acme Ltd", Kind: Certificate, Roles: RolesOf(Admin)}
	if err := certificate.Check(); err != nil {
		t.Errorf("a certificate's name: got %v, want no error", err)
	}
}

func TestAdminGrantsWithinItsScopesOnly(t *testing.T) {
	everywhere, acme := &Grant{}, &Grant{Scopes: []policy.Scope{"acme", "other"}}
	for _, c := range []struct {
		scopes []policy.Scope
		want   bool
	}{
		{nil, false}, {[]policy.Scope{"acme"}, true}, {[]policy.Scope{"acme/x", "other"}, true}, {[]policy.Scope{"acme", "third"}, false},
		{[]policy.Scope{"acme2"}, false},
	} {
		other := &Grant{Scopes: c.scopes}
		if got := acme.MayGrant(other); got != c.want {
			t.Errorf("an admin at acme and other, about %q: got %v, want %v", c.scopes, got, c.want)
		}
		if !everywhere.MayGrant(other) {
			t.Errorf("an admin everywhere, about %q: got false, want true", c.scopes)
		}
	}
}
