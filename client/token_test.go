package client_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/dncd/dncd/client"
)

// headers are the authorization headers that a server got, by method.
type headers struct {
	mu  sync.Mutex
	got map[string][]string
}

// note keeps the header of a call, whether or not its method exists.
func (h *headers) note(ctx context.Context, info *tap.Info) (context.Context, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got[info.FullMethodName] = info.Header.Get("authorization")
	return ctx, nil
}

// TestTokenIsShownWithEachCall: with calls, with streams that checks share, and with imports.
func TestTokenIsShownWithEachCall(t *testing.T) {
	t.Parallel()
	seen := &headers{got: map[string][]string{}}
	_, addr := script(t, promptly, grpc.InTapHandle(seen.note))
	token, _ := client.NewToken()
	c := connect(t, addr, client.WithToken(token))
	if _, err := c.Check(t.Context(), numberAt(1)); err != nil {
		t.Fatal(err)
	}
	optOut(t, c, numberAt(2), "")
	_, importErr := c.Import(t.Context(), client.ImportRequest{List: "mine", Numbers: &digits{numbers: someNumbers(10)}})
	_, listErr := c.GetList(t.Context(), "mine")
	_, checkErr := connect(t, addr, client.WithToken(token), client.WithUnaryChecks()).Check(t.Context(), numberAt(3))
	for _, method := range []string{
		"CheckService/StreamChecks", "CheckService/CheckNumber", "RecordService/RecordOptOut", "ListService/GetList", "ListService/Import",
	} {
		if got := seen.got["/dnc.v1."+method]; len(got) != 1 || got[0] != "Bearer "+token {
			t.Errorf("%s was called with %d tokens, want the one", method, len(got))
		}
	}
	said := fmt.Sprintf("%+v %v %v %v", c, importErr, listErr, checkErr)
	if strings.Contains(said, token) {
		t.Error("a client or its errors print the token")
	}
}

// TestRefusedLoginIsNotRepeated: a stream that was refused for its token is not followed by a call with the same one.
func TestRefusedLoginIsNotRepeated(t *testing.T) {
	t.Parallel()
	s, addr := script(t, func(checkServerStream) error { return status.Error(codes.Unauthenticated, "unknown token") })
	token, _ := client.NewToken()
	_, err := connect(t, addr, client.WithToken(token)).Check(t.Context(), numberAt(1))
	wants(t, err, client.ErrUnauthenticated)
	if streams, calls := s.streams.Load(), s.unary.Load(); streams != 1 || calls != 0 {
		t.Errorf("the token was shown with %d streams and %d calls, want one stream", streams, calls)
	}
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	one, sha := client.NewToken()
	two, _ := client.NewToken()
	if one == two || len(one) != len("dncd_")+64 || !strings.HasPrefix(one, "dncd_") {
		t.Errorf("got %q and %q, want two of dncd_ and 64 digits", one, two)
	}
	if sha != sha256.Sum256([]byte(one)) {
		t.Error("the hash is not that of the token")
	}
}

func TestMalformedTokenIsRefused(t *testing.T) {
	t.Parallel()
	good, _ := client.NewToken()
	for name, token := range map[string]string{
		"none": "", "a line break": good + "\n", "a space": " " + good, "another prefix": "ghp_" + good[5:],
		"too short": good[:len(good)-1], "too long": good + "00", "no digits": "dncd_" + strings.Repeat("x", 64), "digits alone": good[5:],
	} {
		_, err := client.New("127.0.0.1:1", client.WithToken(token))
		if !errors.Is(err, client.ErrMalformedToken) || len(token) > 1 && strings.Contains(err.Error(), token[5:]) {
			t.Errorf("%s: got %v, want ErrMalformedToken and no token", name, err)
		}
	}
}

// TestTokenStaysOffPlainText: no plain text to another machine, nor where the caller asked for TLS.
func TestTokenStaysOffPlainText(t *testing.T) {
	t.Parallel()
	token, _ := client.NewToken()
	plain := client.WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))
	for name, opts := range map[string][]client.Option{
		"plain text to another machine": {},
		"TLS that an option takes off":  {client.WithTLS(nil), plain},
	} {
		c, err := client.New("dncd.example:7362", append(opts, client.WithToken(token))...)
		if err == nil {
			c.Close()
			t.Errorf("%s: New takes it", name)
		}
	}
}

// TestTokens creates, lists and revokes, against a server that asks for none.
func TestTokens(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t), client.WithUser("ann"))
	token, sha := client.NewToken()
	spec := client.TokenSpec{
		Name: "dialer", SecretSHA256: sha, Roles: []client.Role{client.RoleChecker}, Scopes: []string{"acme"}, RequestID: "r1",
	}
	made, err := c.CreateToken(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if made.Name != "dialer" || made.Kind != client.CredentialToken || made.CreatedBy != "ann" || made.Revision == 0 || made.RequestID != "r1" {
		t.Errorf("got %+v", made)
	}
	again, err := c.CreateToken(t.Context(), spec)
	if err != nil || !again.Duplicate || again.Position != made.Position {
		t.Errorf("the same request again: got %+v (%v), want the first answer", again, err)
	}
	spec.RequestID = ""
	_, err = c.CreateToken(t.Context(), spec)
	wants(t, err, client.ErrTokenExists)
	_, err = c.CreateToken(t.Context(), client.TokenSpec{Name: "boss", Roles: []client.Role{"EMPEROR"}})
	wants(t, err, client.ErrInvalidArgument)
	admin, err := c.CreateToken(t.Context(), client.TokenSpec{
		Name: "Jane Doe", Kind: client.CredentialCertificate, Roles: []client.Role{client.RoleAdmin, client.RoleOfficer},
	})
	if err != nil || admin.Kind != client.CredentialCertificate || len(admin.Scopes) != 0 {
		t.Fatalf("a certificate: got %+v (%v)", admin, err)
	}
	var names []string
	for granted, err := range c.Tokens(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, granted.Name)
	}
	if got := strings.Join(names, ","); got != "Jane Doe,dialer" {
		t.Errorf("granted are %s, want both by name", got)
	}
	_, err = c.RevokeToken(t.Context(), "Jane Doe", false)
	wants(t, err, client.ErrConfirmationRequired)
	_, err = c.RevokeToken(t.Context(), "nobody", false)
	wants(t, err, client.ErrTokenNotFound)
	gone, err := c.RevokeToken(t.Context(), "dialer", false)
	if err != nil || gone.Revision <= admin.Revision {
		t.Errorf("revoke: got %+v (%v)", gone, err)
	}
	me, err := connect(t, serve(t), client.WithToken(token)).WhoAmI(t.Context())
	if err != nil || me.Name != "" || !me.AnonymousAllowed || len(me.Roles) != 6 {
		t.Errorf("at a server that asks for nothing: got %+v (%v), want every role and no name", me, err)
	}
}

func wants(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
