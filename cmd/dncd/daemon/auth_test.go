package daemon_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func showing(t *testing.T, token string) context.Context {
	return metadata.AppendToOutgoingContext(testContext(t), "authorization", "Bearer "+token)
}

// adminToken reads the first admin's token, and checks that nobody else can.
func adminToken(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(data, "admin-token")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("admin-token: got mode %v, want 0600", got)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(content), "\n")
}

func TestFirstAdminsTokenIsWrittenOnce(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startProcess(t, serveArgs(data, "--auth", "required")...)
	token := adminToken(t, data)
	access := dncv1.NewAccessServiceClient(dial(t, p.addr))
	who, err := access.WhoAmI(showing(t, token), &dncv1.WhoAmIRequest{})
	if err != nil || who.GetName() != "admin" || !slices.Equal(who.GetRoles(), []dncv1.Role{dncv1.Role_ROLE_ADMIN}) {
		t.Errorf("got %v, %v, want the admin", who, err)
	}
	if _, err := access.WhoAmI(testContext(t), &dncv1.WhoAmIRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without a token: got %v, want UNAUTHENTICATED", err)
	}
	p.stop()
	if log := p.stderr.String(); !strings.Contains(log, filepath.Join(data, "admin-token")) || strings.Contains(log, token) {
		t.Errorf("got log %s, want the file and not the token", log)
	}

	again := startProcess(t, serveArgs(data, "--auth", "required")...)
	if got := adminToken(t, data); got != token {
		t.Errorf("a second start: got another token, want the same")
	}
	access = dncv1.NewAccessServiceClient(dial(t, again.addr))
	if _, err := access.RevokeToken(showing(t, token), &dncv1.RevokeTokenRequest{Name: "admin"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("revoking the last admin: got %v, want it refused without force", err)
	}
	if _, err := access.RevokeToken(showing(t, token), &dncv1.RevokeTokenRequest{Name: "admin", Force: true}); err != nil {
		t.Fatal(err)
	}
	again.stop()
	if !strings.Contains(again.stderr.String(), "still in its file") {
		t.Errorf("a second start: got log %s, want a reminder to delete the file", again.stderr)
	}

	third := startProcess(t, serveArgs(data, "--auth", "required")...)
	fresh := adminToken(t, data)
	if fresh == token {
		t.Error("after the last admin was revoked: got the old token, want a new one")
	}
	access = dncv1.NewAccessServiceClient(dial(t, third.addr))
	if _, err := access.WhoAmI(showing(t, fresh), &dncv1.WhoAmIRequest{}); err != nil {
		t.Errorf("the new token: got %v, want it known", err)
	}
	if _, err := access.WhoAmI(showing(t, token), &dncv1.WhoAmIRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the old token: got %v, want UNAUTHENTICATED", err)
	}
	third.stop()
}

// TestTokenFileOfACrashIsReplaced: the file was written, and the process ended before the token counted.
func TestTokenFileOfACrashIsReplaced(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	startProcess(t, serveArgs(data)...).stop()
	stale := "dncd_" + strings.Repeat("0", 64)
	if err := os.WriteFile(filepath.Join(data, "admin-token"), []byte(stale+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, serveArgs(data, "--auth", "required")...)
	token := adminToken(t, data)
	access := dncv1.NewAccessServiceClient(dial(t, p.addr))
	if _, err := access.WhoAmI(showing(t, token), &dncv1.WhoAmIRequest{}); token == stale || err != nil {
		t.Errorf("got %v, want a new token that is known", err)
	}
	if _, err := access.WhoAmI(showing(t, stale), &dncv1.WhoAmIRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("the token that never counted: got %v, want UNAUTHENTICATED", err)
	}
	p.stop()
}

// certificates are files of a CA, of the server and of clients.
type certificates struct {
	t   *testing.T
	dir string
	ca  *x509.Certificate
	key *ecdsa.PrivateKey
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	c := &certificates{t: t, dir: t.TempDir()}
	c.ca, c.key = c.sign("ca", nil)
	c.sign("server", c)
	return c
}

// sign writes NAME.pem and NAME.key, signed by the CA; by itself without one.
func (c *certificates) sign(name string, by *certificates) (*x509.Certificate, *ecdsa.PrivateKey) {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: by == nil, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.ca, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		c.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(c.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return cert, key
}

func (c *certificates) path(file string) string { return filepath.Join(c.dir, file) }

func (c *certificates) flags() []string {
	return []string{"--tls-cert", c.path("server.pem"), "--tls-key", c.path("server.key"), "--tls-client-ca", c.path("ca.pem")}
}

// dial connects as the client of that name; without a certificate when it is empty.
func (c *certificates) dial(addr, name string) dncv1.AccessServiceClient {
	c.t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	config.RootCAs.AddCert(c.ca)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(c.path(name+".pem"), c.path(name+".key"))
		if err != nil {
			c.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return dncv1.NewAccessServiceClient(conn)
}

func TestFirstAdminByCertificate(t *testing.T) {
	c := newCertificates(t)
	c.sign("root", c)
	c.sign("desk", c)
	data := filepath.Join(t.TempDir(), "data")
	args := append(serveArgs(data, "--auth", "required"), c.flags()...)
	code, _, stderr := run(t, args...)
	if code != 2 || !strings.Contains(stderr, "none of them was granted anything") || !strings.Contains(stderr, "hint: --admin-name") {
		t.Fatalf("without a mapping: got code %d, %s, want 2 and the hint", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(data, "admin-token")); err == nil {
		t.Error("the refused start wrote a token")
	}
	p := startProcess(t, append(args, "--admin-name", "root")...)
	root := c.dial(p.addr, "root")
	who, err := root.WhoAmI(testContext(t), &dncv1.WhoAmIRequest{})
	if err != nil || who.GetName() != "root" || who.GetKind() != dncv1.CredentialKind_CREDENTIAL_KIND_CERTIFICATE {
		t.Fatalf("got %v, %v, want the certificate of root", who, err)
	}
	for name, client := range map[string]dncv1.AccessServiceClient{"a certificate that is granted nothing": c.dial(p.addr, "desk"), "none": c.dial(p.addr, "")} {
		if _, err := client.WhoAmI(testContext(t), &dncv1.WhoAmIRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: got %v, want UNAUTHENTICATED", name, err)
		}
	}
	for _, g := range []*dncv1.CreateTokenRequest{
		{Name: "desk", Kind: dncv1.CredentialKind_CREDENTIAL_KIND_CERTIFICATE, Roles: []dncv1.Role{dncv1.Role_ROLE_ADMIN}},
	} {
		if _, err := root.CreateToken(testContext(t), g); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.dial(p.addr, "desk").RevokeToken(testContext(t), &dncv1.RevokeTokenRequest{Name: "root"}); err != nil {
		t.Fatal(err)
	}
	p.stop()

	// A name that was revoked is not granted again by the flag that is left in the configuration.
	p = startProcess(t, append(args, "--admin-name", "root")...)
	if _, err := c.dial(p.addr, "root").WhoAmI(testContext(t), &dncv1.WhoAmIRequest{}); status.Code(err) != codes.Unauthenticated {
		t.Errorf("after root was revoked: got %v, want UNAUTHENTICATED", err)
	}
	p.stop()
}

func TestDoorsThatAreLeftOpenAreRefused(t *testing.T) {
	c := newCertificates(t)
	dir := t.TempDir()
	open := append([]string{"--init", "--data", filepath.Join(dir, "data"), "--listen", "0.0.0.0:0", "--http", ""}, c.flags()[:4]...)
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"beyond this machine", open, []string{"--listen", "callers need not show", "hint: give --auth required, or --insecure"}},
		{"optional", append(slices.Clone(open), "--auth", "optional"), []string{"--listen", "callers need not show"}},
		{"off", append(slices.Clone(open), "--auth", "off"), []string{"--listen", "callers need not show"}},
		{"no mode", serveArgs(dir, "--auth", "on"), []string{"--auth", "off, optional or required"}},
		{"an admin by certificate without a CA", serveArgs(dir, "--auth", "required", "--admin-name", "root"), []string{"--admin-name", "--tls-client-ca"}},
	} {
		code, _, stderr := run(t, tt.args...)
		for _, want := range tt.want {
			if code != 2 || !strings.Contains(stderr, want) {
				t.Errorf("%s: got code %d, %s, want 2 and %q", tt.name, code, stderr, want)
			}
		}
	}
	for _, more := range []string{"--insecure", "--auth=required"} {
		startProcess(t, append(slices.Clone(open), more)...).stop()
	}
}
