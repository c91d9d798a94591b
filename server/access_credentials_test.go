package server_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

// TestRefusedLoginsDoNotHideRefusedActs: a flood of one leaves lines for the other, and what was left out is told when the
// flood has ended.
func TestRefusedLoginsDoNotHideRefusedActs(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	ctx := d.as("curious", access.RolesOf(access.Checker), "acme")
	const flood = 500
	for range flood {
		_, err := d.check.CheckNumber(showing(testContext(t), tokenOf(0xbad)), &dncv1.CheckNumberRequest{Number: numberOfAll.E164()})
		wantReason(t, err, codes.Unauthenticated, "UNAUTHENTICATED")
	}
	_, err := d.list.DeleteList(ctx, &dncv1.DeleteListRequest{Name: listAt("acme"), Force: true})
	wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
	if log := d.log.String(); !strings.Contains(log, "act refused") || !strings.Contains(log, "caller=curious") {
		t.Errorf("got log %s, want the refused act with its caller", log)
	}
	leftOut := regexp.MustCompile(`left_out=(\d+)`)
	eventually(t, "every refused login is told, one by one or in a summary", func() bool {
		log := d.log.String()
		told := strings.Count(log, "login refused\" kind")
		for _, m := range leftOut.FindAllStringSubmatch(log, -1) {
			n, _ := strconv.Atoi(m[1])
			told += n
		}
		return told == flood
	})
}

// TestCertificatesThatAreNotTheOneGranted: a name is compared as it is, and one of several is no name.
func TestCertificatesThatAreNotTheOneGranted(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	cert, key := ca.issue("dncd", nil)
	files, err := server.TLSFiles{Cert: cert, Key: key, ClientCA: ca.file, OrToken: true}.Config()
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, func(o *server.Options) { o.TLS = files })
	d.grant(access.Grant{Name: "root", Kind: access.Certificate, Roles: access.RolesOf(access.Admin)})
	d.grant(access.Grant{Name: "dialer", Kind: access.Token, Roles: access.RolesOf(access.Checker)})
	severalNames := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, n := range names {
				c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: n})
			}
		}
	}
	d.grant(access.Grant{Name: "late", Kind: access.Certificate, Roles: access.RolesOf(access.Admin), ExpiresAt: testDay.Add(1)})
	d.clock.add(2)
	for what, c := range map[string]struct {
		name   string
		change func(*x509.Certificate)
		want   string
	}{
		"one that has expired":         {name: "late", want: "UNAUTHENTICATED"},
		"the one granted":              {name: "root"},
		"its name as a DNS name":       {change: func(c *x509.Certificate) { c.DNSNames = []string{"root"} }},
		"a second DNS name":            {change: func(c *x509.Certificate) { c.DNSNames = []string{"nobody", "root"} }, want: "UNAUTHENTICATED"},
		"a DNS name behind the common": {name: "nobody", change: func(c *x509.Certificate) { c.DNSNames = []string{"root"} }, want: "UNAUTHENTICATED"},
		"other case":                   {name: "ROOT", want: "UNAUTHENTICATED"},
		"a space":                      {name: "root ", want: "UNAUTHENTICATED"},
		"a wildcard":                   {name: "*", want: "UNAUTHENTICATED"},
		"no name":                      {want: "UNAUTHENTICATED"},
		"the name of a token":          {name: "dialer", want: "UNAUTHENTICATED"},
		"the last of two names":        {change: severalNames("nobody", "root"), want: "UNAUTHENTICATED"},
		"the first of two names":       {change: severalNames("root", "nobody"), want: "UNAUTHENTICATED"},
	} {
		conn, err := grpc.NewClient(d.addr, grpc.WithTransportCredentials(credentials.NewTLS(ca.clientTLS(ca.issue(c.name, c.change)))))
		if err != nil {
			t.Fatal(err)
		}
		if got := reasonOf(calls["AccessService/WhoAmI"].make(testContext(t), d, conn, "")); got != c.want {
			t.Errorf("%s: got %q, want %q", what, got, c.want)
		}
		conn.Close()
	}
}

// TestEveryRefusedActIsLogged: for want of a role, outside of the caller's scopes, and above them.
func TestEveryRefusedActIsLogged(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	for name, c := range map[string]struct {
		role  access.Role
		scope policy.Scope
	}{"without-role": {access.Checker, "acme"}, "outside": {access.Loader, "other"}, "above": {access.Loader, ""}} {
		_, err := d.list.DeleteList(d.as(name, access.RolesOf(c.role), "acme"), &dncv1.DeleteListRequest{Name: listAt(c.scope), Force: true})
		wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
		if log := d.log.String(); !strings.Contains(log, `msg="act refused" method=ListService/DeleteList caller=`+name) {
			t.Errorf("%s: got log %s, want the refused act", name, log)
		}
	}
}

// TestGoodTokenBesideAnotherIsRefused: which of two headers a program reads differs.
func TestGoodTokenBesideAnotherIsRefused(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	ctx := d.as("good", access.Everything)
	if got := reasonOf(calls["AccessService/WhoAmI"].make(ctx, d, d.conn, "")); got != "" {
		t.Fatalf("alone: got %s", got)
	}
	for name, also := range map[string]context.Context{
		"before another": showing(ctx, tokenOf(0xbad)), "twice": d.twice(ctx),
		"behind another": d.behind(ctx, "Bearer "+tokenOf(0xbad)),
	} {
		if got := reasonOf(calls["AccessService/WhoAmI"].make(also, d, d.conn, "")); got != "UNAUTHENTICATED" {
			t.Errorf("%s: got %q, want UNAUTHENTICATED", name, got)
		}
	}
}

func (d *door) twice(ctx context.Context) context.Context { return d.behind(ctx, authorizationOf(ctx)) }

// behind shows also before what ctx shows.
func (d *door) behind(ctx context.Context, also string) context.Context {
	return metadata.AppendToOutgoingContext(testContext(d.t), "authorization", also, "authorization", authorizationOf(ctx))
}

func authorizationOf(ctx context.Context) string {
	md, _ := metadata.FromOutgoingContext(ctx)
	return md.Get("authorization")[0]
}

// TestGrantsThatEndBeforeTheyBegin: an expiry that has passed, or passes now, is refused.
func TestGrantsThatEndBeforeTheyBegin(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	ctx, client := d.as("admin", access.RolesOf(access.Admin)), dncv1.NewAccessServiceClient(d.conn)
	for name, c := range map[string]struct {
		end  time.Duration
		want string
	}{"before": {-time.Second, "FIELD_INVALID"}, "now": {0, "FIELD_INVALID"}, "after": {time.Hour, ""}} {
		secret := access.SecretOf(name)
		_, err := client.CreateToken(ctx, &dncv1.CreateTokenRequest{
			Name: name, Kind: dncv1.CredentialKind_CREDENTIAL_KIND_TOKEN, SecretSha256: secret[:],
			Roles: []dncv1.Role{dncv1.Role_ROLE_CHECKER}, ExpiresAt: timestamppb.New(d.clock.Now().Add(c.end)),
		})
		if got := reasonOf(err); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestReflectionNeedsACredential: a caller that shows nothing does not learn what the server serves. Health does not need one.
func TestReflectionNeedsACredential(t *testing.T) {
	t.Parallel()
	d := openDoor(t, func(o *server.Options) { o.Reflection = true })
	for name, c := range map[string]struct {
		ctx  context.Context
		want codes.Code
	}{
		"nothing": {testContext(t), codes.Unauthenticated}, "a bad token": {showing(testContext(t), tokenOf(0xbad)), codes.Unauthenticated},
		"a token": {d.as("anybody", access.RolesOf(access.Subscriber), "acme"), codes.OK},
	} {
		s, err := reflectionv1.NewServerReflectionClient(d.conn).ServerReflectionInfo(c.ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
		if _, err := s.Recv(); status.Code(err) != c.want {
			t.Errorf("reflection with %s: got %v, want %v", name, err, c.want)
		}
		if _, err := healthpb.NewHealthClient(d.conn).Check(c.ctx, &healthpb.HealthCheckRequest{}); err != nil {
			t.Errorf("health with %s: got %v, want an answer", name, err)
		}
	}
}
