package server_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

// reloading is a server whose TLS files tests change.
type reloading struct {
	*node
	files  server.TLSFiles
	config *tls.Config
	told   *syncBuffer
}

// startReloading serves with files in a directory of its own, which are read in each handshake.
func startReloading(t *testing.T, a *authority, clientCA string) *reloading {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{told: new(syncBuffer)}
	r.files = server.TLSFiles{
		Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"),
		Logger: slog.New(slog.NewTextHandler(r.told, nil)), Every: time.Nanosecond,
	}
	copyFiles(t, r.files.Cert, r.files.Key)(a.issue("dncd", nil))
	if clientCA != "" {
		r.files.ClientCA = filepath.Join(dir, "ca.crt")
		copyFile(t, r.files.ClientCA, clientCA)
	}
	c, err := r.files.Config()
	if err != nil {
		t.Fatal(err)
	}
	r.config = c
	r.node = start(t, func(o *server.Options) { o.TLS = c })
	return r
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyFiles puts a certificate and its key in place of others.
func copyFiles(t *testing.T, cert, key string) func(newCert, newKey string) {
	return func(newCert, newKey string) {
		t.Helper()
		copyFile(t, cert, newCert)
		copyFile(t, key, newKey)
	}
}

// served is the certificate that a new connection gets.
func (r *reloading) served(a *authority) []byte {
	r.t.Helper()
	c := a.clientTLS("", "")
	c.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", r.addr, c)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Raw
}

// leaf is what a certificate's file holds.
func leaf(t *testing.T, cert, key string) []byte {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Certificate[0]
}

func TestNewCertificateIsServed(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	r := startReloading(t, a, "")
	r.dialTLS(a.clientTLS("", ""))
	r.checkNumber(french, "") // this connection stays
	before := r.served(a)

	cert, key := a.issue("dncd", nil)
	copyFiles(t, r.files.Cert, r.files.Key)(cert, key)
	if got, want := r.served(a), leaf(t, cert, key); bytes.Equal(got, before) || !bytes.Equal(got, want) {
		t.Error("a new connection does not get the new certificate")
	}
	r.checkNumber(french, "")
	if !strings.Contains(r.told.String(), "new connections get the new ones") {
		t.Errorf("got log %q, want the change told", r.told)
	}

	web := httpTLS(t, r.config)
	if !bytes.Equal(web, leaf(t, cert, key)) {
		t.Error("HTTP does not get the new certificate")
	}
}

// httpTLS is the certificate that a handshake of the HTTP listener serves now.
func httpTLS(t *testing.T, c *tls.Config) []byte {
	t.Helper()
	now, err := server.ForHTTP(c).GetConfigForClient(new(tls.ClientHelloInfo))
	if err != nil {
		t.Fatal(err)
	}
	if now.ClientAuth != tls.NoClientCert {
		t.Error("HTTP asks for client certificates")
	}
	return now.Certificates[0].Certificate[0]
}

// TestSwappedLinks changes the files as a mounted secret of Kubernetes does: a link to a directory is renamed over.
func TestSwappedLinks(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	version := func(name string) []byte {
		cert, key := a.issue("dncd", nil)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		copyFiles(t, filepath.Join(dir, name, "tls.crt"), filepath.Join(dir, name, "tls.key"))(cert, key)
		link := filepath.Join(dir, "next")
		if err := os.Symlink(name, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
		return leaf(t, cert, key)
	}
	first := version("..v1")
	for _, file := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	files := server.TLSFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), Every: time.Nanosecond}
	c, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	r := &reloading{node: start(t, func(o *server.Options) { o.TLS = c })}
	if !bytes.Equal(r.served(a), first) {
		t.Fatal("the first certificate is not served")
	}
	if second := version("..v2"); !bytes.Equal(r.served(a), second) {
		t.Error("the certificate behind the new link is not served")
	}
}

// TestBrokenFilesChangeNothing: with half a file, a key of another certificate, or a missing file the previous files
// stay in use, the log says why once and holds no key, and corrected files are loaded.
func TestBrokenFilesChangeNothing(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("dncd", nil)
	for name, spoil := range map[string]func(r *reloading) error{
		"key without its certificate": func(r *reloading) error { copyFile(t, r.files.Key, key); return nil },
		"certificate without its key": func(r *reloading) error { copyFile(t, r.files.Cert, cert); return nil },
		"half a certificate":          func(r *reloading) error { return os.Truncate(r.files.Cert, 100) },
		"half a key":                  func(r *reloading) error { return os.Truncate(r.files.Key, 60) },
		"empty":                       func(r *reloading) error { return os.Truncate(r.files.Cert, 0) },
		"gone":                        func(r *reloading) error { return os.Remove(r.files.Key) },
	} {
		t.Run(name, func(t *testing.T) {
			r := startReloading(t, a, "")
			before := r.served(a)
			if err := spoil(r); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if !bytes.Equal(r.served(a), before) {
					t.Fatal("another certificate is served")
				}
			}
			if got := strings.Count(r.told.String(), "cannot be used"); got != 1 {
				t.Errorf("told %d times, want once: %s", got, r.told)
			}
			if strings.Contains(r.told.String(), "BEGIN") {
				t.Errorf("the log holds a file's content: %s", r.told)
			}
			copyFiles(t, r.files.Cert, r.files.Key)(cert, key)
			if !bytes.Equal(r.served(a), leaf(t, cert, key)) {
				t.Error("mended files are not taken")
			}
		})
	}
}

// TestNewClientCA: a client of the old CA is refused from then on, even when it would resume its session. A broken CA
// file lets no new client in.
func TestNewClientCA(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	r := startReloading(t, a, a.file)
	old := a.clientTLS(a.issue("alice", nil))
	old.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	cert, key := other.issue("bob", nil)
	newer := a.clientTLS(cert, key) // trusts the server's CA, which stays
	try := func(c *tls.Config) codes.Code {
		r.dialTLS(c)
		_, err := r.check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: french})
		return status.Code(err)
	}
	for step, want := range []struct {
		change     func()
		old, newer codes.Code
	}{
		{func() {}, codes.OK, codes.Unavailable},
		{func() { copyFile(t, r.files.ClientCA, a.file); truncate(t, r.files.ClientCA, 50) }, codes.OK, codes.Unavailable},
		{func() { copyFile(t, r.files.ClientCA, other.file) }, codes.Unavailable, codes.OK},
		{func() { truncate(t, r.files.ClientCA, 0) }, codes.Unavailable, codes.OK},
		{func() { copyFile(t, r.files.ClientCA, a.file) }, codes.OK, codes.Unavailable},
	} {
		want.change()
		if got := try(old); got != want.old {
			t.Errorf("step %d, client of the first CA: got %v, want %v", step, got, want.old)
		}
		if got := try(newer); got != want.newer {
			t.Errorf("step %d, client of the second CA: got %v, want %v", step, got, want.newer)
		}
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}
