package server_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// whoAmI asks as the client of a certificate that by issued.
func (d *door) whoAmI(ca, by *authority, name string) error {
	d.t.Helper()
	cert, key := by.issue(name, nil)
	conn, err := grpc.NewClient(d.addr, grpc.WithTransportCredentials(credentials.NewTLS(ca.clientTLS(cert, key))))
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	_, err = dncv1.NewAccessServiceClient(conn).WhoAmI(testContext(d.t), &dncv1.WhoAmIRequest{})
	return err
}

// TestCertificatesThatAreNobody: a certificate counts while it is granted something, and each refusal is logged and
// counted, those of TLS too.
func TestCertificatesThatAreNobody(t *testing.T) {
	t.Parallel()
	ca, foreign := newAuthority(t), newAuthority(t)
	cert, key := ca.issue("dncd", nil)
	files, err := server.TLSFiles{Cert: cert, Key: key, ClientCA: ca.file, OrToken: true}.Config()
	if err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, func(o *server.Options) { o.TLS = files })
	granted := access.Grant{Kind: access.Certificate, Roles: access.Everything}
	for _, name := range []string{"granted", "revoked", "expired"} {
		g := granted
		if g.Name = name; name == "expired" {
			g.ExpiresAt = testDay.Add(1)
		}
		d.grant(g)
	}
	d.clock.add(2)
	if _, err := d.store.RevokeGrant(context.Background(), "revoked", store.Request{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"granted": "", "revoked": "UNAUTHENTICATED", "expired": "UNAUTHENTICATED", "stranger": "UNAUTHENTICATED"} {
		if got := reasonOf(d.whoAmI(ca, ca, name)); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	d.wantMetric(`dncd_refused_logins_total{kind="certificate"} 3`)
	if err := d.whoAmI(ca, foreign, "granted"); err == nil {
		t.Error("a certificate of another CA: got no error, want the handshake refused")
	}
	eventually(t, "a refused handshake in the log", func() bool { return strings.Contains(d.log.String(), "TLS client refused") })
	if _, metrics := get(t, d.web+"/metrics"); !regexp.MustCompile(`dncd_refused_logins_total\{kind="tls"\} [1-9]`).MatchString(metrics) {
		t.Error("the refused handshake is not counted")
	}
	if got := strings.Count(d.log.String(), "login refused"); got != 3 {
		t.Errorf("got %d lines of refused logins, want 3: %s", got, d.log)
	}
}
