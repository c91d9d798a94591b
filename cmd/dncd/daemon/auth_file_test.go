package daemon_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestTokenIsNotWrittenThroughALink: what was planted in the place of the token's file, or of the file that becomes it, does
// not get the token.
func TestTokenIsNotWrittenThroughALink(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(target, path string) error{
		"a link": os.Symlink, "a hard link": os.Link,
		"a link in the place of the new file":      func(target, path string) error { return os.Symlink(target, path+".new") },
		"a hard link in the place of the new file": func(target, path string) error { return os.Link(target, path+".new") },
	} {
		dir := t.TempDir()
		data, target := filepath.Join(dir, "data"), filepath.Join(dir, "readable")
		startProcess(t, serveArgs(data)...).stop()
		if err := os.WriteFile(target, []byte("as it was"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := plant(target, filepath.Join(data, "admin-token")); err != nil {
			t.Fatal(err)
		}
		p := startProcess(t, serveArgs(data, "--auth", "required")...)
		token := adminToken(t, data)
		if _, err := dncv1.NewAccessServiceClient(dial(t, p.addr)).WhoAmI(showing(t, token), &dncv1.WhoAmIRequest{}); err != nil {
			t.Errorf("%s: got %v, want the token of the file known", name, err)
		}
		p.stop()
		if got, err := os.ReadFile(target); err != nil || string(got) != "as it was" {
			t.Errorf("%s: got %q, %v in what it points to, want it as it was", name, got, err)
		}
		if info, err := os.Lstat(filepath.Join(data, "admin-token")); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: got %v, %v, want a file of its own", name, info, err)
		}
	}
}

// TestTokenThatCannotBeWrittenGrantsNothing: the start fails, and the next one makes an admin whose token is known.
func TestTokenThatCannotBeWrittenGrantsNothing(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(data, "admin-token")
	startProcess(t, serveArgs(data)...).stop()
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, serveArgs(data, "--auth", "required")...); code == 0 || !strings.Contains(stderr, path) {
		t.Errorf("a directory in its place: got code %d, %s, want a failure that names it", code, stderr)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, serveArgs(data, "--auth", "required")...)
	who, err := dncv1.NewAccessServiceClient(dial(t, p.addr)).WhoAmI(showing(t, adminToken(t, data)), &dncv1.WhoAmIRequest{})
	if err != nil || who.GetName() != "admin" {
		t.Errorf("got %v, %v, want the admin", who, err)
	}
	p.stop()
}

// TestAdminNameBesideAnAdminIsReported: a start with --admin-name where a token is admin grants nothing, and says so.
func TestAdminNameBesideAnAdminIsReported(t *testing.T) {
	t.Parallel()
	c := newCertificates(t)
	data := filepath.Join(t.TempDir(), "data")
	startProcess(t, serveArgs(data, "--auth", "required")...).stop()
	p := startProcess(t, serveArgs(data, append(c.flags(), "--auth", "required", "--admin-name", "root")...)...)
	p.stop()
	if log := p.stderr.String(); !strings.Contains(log, "--admin-name grants nothing") {
		t.Errorf("got log %s, want that the name grants nothing", log)
	}
}

// TestOnlyRequiredTakesATokenForACertificate: in the other modes a client CA requires a certificate of every client. Whoever
// shows nothing could do everything there.
func TestOnlyRequiredTakesATokenForACertificate(t *testing.T) {
	t.Parallel()
	c := newCertificates(t)
	for mode, want := range map[string]codes.Code{"off": codes.Unavailable, "optional": codes.Unavailable, "required": codes.Unauthenticated} {
		args := append(c.flags(), "--auth", mode, "--admin-name", "root")
		p := startProcess(t, serveArgs(filepath.Join(t.TempDir(), "data"), args...)...)
		if _, err := c.dial(p.addr, "").WhoAmI(testContext(t), &dncv1.WhoAmIRequest{}); status.Code(err) != want {
			t.Errorf("--auth %s, without a certificate: got %v, want %v", mode, err, want)
		}
		p.stop()
	}
}
