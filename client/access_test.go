package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dncd/dncd/client"
)

// guarded starts a server that asks for a token, and returns its address and its first admin.
func guarded(t *testing.T) (addr string, admin *client.Client) {
	t.Helper()
	dir := t.TempDir()
	addr, stop, err := start(dir, "--auth", "required")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	token, err := os.ReadFile(filepath.Join(dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	return addr, connect(t, addr, client.WithToken(strings.TrimSpace(string(token))))
}

// granted makes a token and a client that shows it.
func granted(t *testing.T, admin *client.Client, addr string, spec client.TokenSpec, opts ...client.Option) *client.Client {
	t.Helper()
	token, sha := client.NewToken()
	spec.SecretSHA256 = sha
	if _, err := admin.CreateToken(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	return connect(t, addr, append(opts, client.WithToken(token))...)
}

// TestRevokedTokenEndsCalls: shared streams, calls by themselves, batches and imports end with the one error.
func TestRevokedTokenEndsCalls(t *testing.T) {
	t.Parallel()
	addr, admin := guarded(t)
	spec := client.TokenSpec{Name: "dialer", Roles: []client.Role{client.RoleChecker, client.RoleLoader}}
	c := granted(t, admin, addr, spec)
	if _, err := c.Check(t.Context(), numberAt(1)); err != nil {
		t.Fatal(err)
	}
	createRegistry(t, c, "us-ftc")
	if _, err := admin.RevokeToken(t.Context(), "dialer", false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a stream of checks ends with its token", func() bool {
		r, err := c.Check(t.Context(), numberAt(1))
		isZeroIf(t, err, r)
		return errors.Is(err, client.ErrUnauthenticated)
	})
	_, err := c.CheckBatch(t.Context(), someNumbers(1))
	wants(t, err, client.ErrUnauthenticated)
	_, err = c.Import(t.Context(), client.ImportRequest{List: "us-ftc", SnapshotDate: today, Numbers: &digits{numbers: someNumbers(10)}})
	wants(t, err, client.ErrUnauthenticated)
	for _, err := range c.ImportHistory(t.Context(), "us-ftc") {
		wants(t, err, client.ErrUnauthenticated)
	}
}

func isZeroIf(t *testing.T, err error, r client.Result) {
	t.Helper()
	if err != nil {
		isZero(t, r)
	}
}

// TestDeniedCheckIsNotCallable: a check outside of the caller's scopes is an error, however it is asked.
func TestDeniedCheckIsNotCallable(t *testing.T) {
	t.Parallel()
	addr, admin := guarded(t)
	spec := client.TokenSpec{Name: "dialer", Roles: []client.Role{client.RoleChecker}, Scopes: []string{"acme"}}
	shared := granted(t, admin, addr, spec)
	spec.Name = "dialer-2"
	unary := granted(t, admin, addr, spec, client.WithUnaryChecks())
	for name, c := range map[string]*client.Client{"shared": shared, "unary": unary} {
		if r, err := c.Check(t.Context(), numberAt(1), client.Scope("acme/emea")); err != nil || !r.Callable() {
			t.Errorf("%s: within the scope: got %+v (%v), want callable", name, r, err)
		}
		for _, scope := range []string{"", "other", "acme2"} {
			r, err := c.Check(t.Context(), numberAt(1), client.Scope(scope))
			wants(t, err, client.ErrPermissionDenied)
			isZero(t, r)
			var e *client.Error
			if !errors.As(err, &e) || e.Code() != "PERMISSION_DENIED" {
				t.Errorf("%s at %q: got %v, want the code PERMISSION_DENIED", name, scope, err)
			}
		}
		batch, err := c.CheckBatch(t.Context(), someNumbers(1))
		if !errors.Is(err, client.ErrPermissionDenied) || batch.Len() > 0 {
			t.Errorf("%s: a batch without a scope: got %v, want ErrPermissionDenied", name, err)
		}
	}
	me, err := shared.WhoAmI(t.Context())
	if err != nil || me.Name != "dialer" || me.AnonymousAllowed || !slices.Equal(me.Scopes, spec.Scopes) {
		t.Errorf("got %+v (%v), want what was granted", me, err)
	}
}
