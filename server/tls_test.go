package server_test

import (
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
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

// authority signs certificates for tests.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.key = newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = filepath.Join(a.dir, "ca.pem")
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes a certificate and its key, and returns their paths.
func (a *authority) issue(name string, change func(*x509.Certificate)) (cert, key string) {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(template)
	}
	private := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(a.t, cert, "CERTIFICATE", der)
	writePEM(a.t, key, "PRIVATE KEY", pkcs8)
	return cert, key
}

// clientTLS trusts the authority and shows the certificate, if there is one.
func (a *authority) clientTLS(cert, key string) *tls.Config {
	a.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	c := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func startTLS(t testing.TB, a *authority, clientCA string) *node {
	t.Helper()
	cert, key := a.issue("dncd", nil)
	c, err := server.TLSFiles{Cert: cert, Key: key, ClientCA: clientCA}.Config()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, func(o *server.Options) { o.TLS = c })
}

func (n *node) dialTLS(c *tls.Config) { n.dial(grpc.WithTransportCredentials(credentials.NewTLS(c))) }

func TestMutualTLSRefuses(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	n := startTLS(t, a, a.file)
	expired, expiredKey := a.issue("late", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	stranger, strangerKey := other.issue("stranger", nil)
	good, goodKey := a.issue("alice", nil)
	serverOnly, serverOnlyKey := a.issue("web", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	old := a.clientTLS(good, goodKey)
	old.MaxVersion = tls.VersionTLS12
	// The stranger's certificate is sent although the server names other authorities.
	strange := a.clientTLS("", "")
	pair, err := tls.LoadX509KeyPair(stranger, strangerKey)
	if err != nil {
		t.Fatal(err)
	}
	strange.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	for name, c := range map[string]*tls.Config{
		"no certificate":       a.clientTLS("", ""),
		"another CA":           strange,
		"expired":              a.clientTLS(expired, expiredKey),
		"not a client's":       a.clientTLS(serverOnly, serverOnlyKey),
		"TLS 1.2":              old,
		"server of another CA": other.clientTLS(good, goodKey),
	} {
		n.dialTLS(c)
		_, err := n.check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: french})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: got %v, want a refused connection", name, err)
		}
	}
	n.dialTLS(a.clientTLS(good, goodKey))
	if _, err := n.check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: french}); err != nil {
		t.Errorf("a good certificate: %v", err)
	}
}

func TestRecordedByIsProvenByTheCertificate(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	n := startTLS(t, a, a.file)
	tests := []struct {
		commonName string
		dns        []string
		want       string
	}{
		{"alice", []string{"desk.example"}, "alice"},
		{"", []string{"desk.example", "b.example"}, "desk.example"},
	}
	for _, tt := range tests {
		n.dialTLS(a.clientTLS(a.issue(tt.commonName, func(c *x509.Certificate) { c.DNSNames = tt.dns })))
		resp, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french, Scope: tt.want, Context: &dncv1.WriteContext{OnBehalfOf: "mallory"}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := n.record.ListHistory(testContext(t), &dncv1.ListHistoryRequest{Number: french, ReadAt: atLeast(resp.GetPosition().GetRevision(), "")})
		if err != nil {
			t.Fatal(err)
		}
		story := got.GetEvents()[len(got.GetEvents())-1].GetStory()
		if story.GetRecordedBy() != tt.want || !story.GetRecordedByProven() {
			t.Errorf("got %v, want %s, proven", story, tt.want)
		}
	}
	n.dialTLS(a.clientTLS(a.issue("", nil)))
	_, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french, Context: &dncv1.WriteContext{OnBehalfOf: "mallory"}})
	wantReason(t, err, codes.PermissionDenied, "PERMISSION_DENIED")
}

func TestRecordedByIsClaimedWithoutClientCA(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	n := startTLS(t, a, "")
	n.dialTLS(a.clientTLS(a.issue("alice", nil))) // its certificate was neither requested nor signed
	if _, err := n.record.RecordOptOut(testContext(t), &dncv1.RecordOptOutRequest{Number: french, Context: &dncv1.WriteContext{OnBehalfOf: "bob"}}); err != nil {
		t.Fatal(err)
	}
	got, err := n.record.GetNumber(testContext(t), &dncv1.GetNumberRequest{Number: french})
	if err != nil {
		t.Fatal(err)
	}
	if story := got.GetRecords()[0].GetStory(); story.GetRecordedBy() != "bob" || story.GetRecordedByProven() {
		t.Errorf("got %v, want bob, claimed", story)
	}
}

func TestTLSFiles(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("dncd", nil)
	_, otherKey := a.issue("dncd", nil)
	if c, err := (server.TLSFiles{}).Config(); c != nil || err != nil {
		t.Errorf("no files: got %v and %v, want none", c, err)
	}
	for name, f := range map[string]server.TLSFiles{
		"no key":         {Cert: cert},
		"no certificate": {Key: key},
		"CA alone":       {ClientCA: a.file},
		"no pair":        {Cert: cert, Key: otherKey},
		"no such file":   {Cert: cert + "x", Key: key},
		"CA is a key":    {Cert: cert, Key: key, ClientCA: key},
		"CA is not read": {Cert: cert, Key: key, ClientCA: key + "x"},
	} {
		if c, err := f.Config(); err == nil {
			t.Errorf("%s: got %v, want an error", name, c)
		}
	}
}
