package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

// authority signs certificates into files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.sign(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// sign writes name.pem and name.key.
func (a *authority) sign(t *testing.T, name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file(name+".pem"), "CERTIFICATE", der)
	writePEM(t, a.file(name+".key"), "PRIVATE KEY", secret)
	return cert, key
}

func writePEM(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTLS checks that a certificate's name goes before the claimed one, and that a client
// without one, or that does not know the server, gets no answer.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	ca.sign(t, "server", &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	ca.sign(t, "desk-1", &x509.Certificate{DNSNames: []string{"desk-1"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	addr := serve(t, "--tls-cert", ca.file("server.pem"), "--tls-key", ca.file("server.key"), "--tls-client-ca", ca.file("ca.pem"))

	c := connect(t, addr, client.WithTLSFiles(ca.file("ca.pem"), ca.file("desk-1.pem"), ca.file("desk-1.key")), client.WithUser("somebody"))
	optOut(t, c, "+14155550100", "")
	info, err := c.GetNumber(t.Context(), "+14155550100")
	if err != nil || len(info.Records) != 1 {
		t.Fatalf("got %+v (%v)", info, err)
	}
	if s := info.Records[0].Story; s.RecordedBy != "desk-1" || !s.RecordedByProven {
		t.Errorf("recorded by %q, proven %v; want the certificate's name", s.RecordedBy, s.RecordedByProven)
	}
	other := newAuthority(t)
	for name, opts := range map[string][]client.Option{
		"no certificate":     {client.WithTLSFiles(ca.file("ca.pem"), "", "")},
		"an unknown server":  {client.WithTLSFiles(other.file("ca.pem"), ca.file("desk-1.pem"), ca.file("desk-1.key"))},
		"the system's roots": {client.WithTLS(nil)},
		"plain text":         nil,
	} {
		r, err := connect(t, addr, opts...).Check(t.Context(), "+14155550100")
		if err == nil || !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("with %s: got %v, want %v", name, err, client.ErrUnavailable)
		}
		isZero(t, r)
	}
}
