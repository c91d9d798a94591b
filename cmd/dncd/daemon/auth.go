package daemon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// authMode is the flag --auth.
type authMode server.Auth

var authModes = []string{server.AuthOff: "off", server.AuthOptional: "optional", server.AuthRequired: "required"}

// String implements pflag.Value.
func (m *authMode) String() string { return authModes[*m] }

// Set implements pflag.Value.
func (m *authMode) Set(s string) error {
	for mode, name := range authModes {
		if s == name {
			*m = authMode(mode)
			return nil
		}
	}
	return errors.New("write off, optional or required")
}

// Type implements pflag.Value.
func (*authMode) Type() string { return "mode" }

// Refusals to start.
var (
	// errOpenDoor refuses an address that other machines reach while callers need not show who they are.
	errOpenDoor = errors.New("other machines reach it, and callers need not show who they are")
	// errNoMapping refuses to start with a client CA while no certificate may do anything.
	errNoMapping = errors.New("clients show certificates, and none of them was granted anything")
)

// adminTokenFile holds the token of the first admin, in the data directory.
const adminTokenFile = "admin-token"

// firstAdmin makes an admin when none is in force: the certificate that --admin-name names, else a new token, which it writes
// into the data directory.
func (c *config) firstAdmin(ctx context.Context, st *store.Store, log *slog.Logger) error {
	if server.Auth(c.auth) == server.AuthOff {
		return nil
	}
	table := st.View().Access()
	if c.tls.ClientCA != "" && c.adminName == "" && !hasCertificates(table) {
		return errNoMapping
	}
	if table.HasAdmin(st.Now()) {
		c.remindOfToken(log)
		c.remindOfName(table, log)
		return nil
	}
	if !st.State().Writable() {
		log.Error("no admin is known, and the store takes no writes that would make one")
		return nil
	}
	if c.adminName != "" {
		return c.grantAdmin(ctx, st, log, access.Grant{Name: c.adminName, Kind: access.Certificate})
	}
	return c.firstToken(ctx, st, log)
}

// remindOfToken warns while the first admin's token is in the data directory.
func (c *config) remindOfToken(log *slog.Logger) {
	path := filepath.Join(c.data, adminTokenFile)
	if _, err := os.Lstat(path); err == nil {
		log.Warn("the first admin's token is still in its file: delete it when you have made other tokens", "file", path)
	}
}

// remindOfName warns when --admin-name grants nothing, because there is an admin already.
func (c *config) remindOfName(t *access.Table, log *slog.Logger) {
	if c.adminName != "" && t.Certificate(c.adminName) == nil {
		log.Warn("--admin-name grants nothing: there is an admin already, who can grant the certificate with dnc token new --certificate", "name", c.adminName)
	}
}

func hasCertificates(t *access.Table) bool {
	for _, g := range t.All() {
		if g.Kind == access.Certificate {
			return true
		}
	}
	return false
}

// firstToken writes the file before the token counts: a crash in between leaves a file that grants nothing, and the next
// start replaces it.
func (c *config) firstToken(ctx context.Context, st *store.Store, log *slog.Logger) error {
	token := newToken()
	path := filepath.Join(c.data, adminTokenFile)
	if err := writeSecret(path, token); err != nil {
		return fmt.Errorf("write the first admin's token: %w", err)
	}
	if err := c.grantAdmin(ctx, st, log, access.Grant{Name: "admin", Kind: access.Token, Secret: access.SecretOf(token)}); err != nil {
		return err
	}
	log.Info("wrote the first admin's token: make others with it, then delete the file", "file", path)
	return nil
}

// grantAdmin grants the role admin. If the name of a token is in use, a number is appended to it.
func (c *config) grantAdmin(ctx context.Context, st *store.Store, log *slog.Logger, g access.Grant) error {
	g.Roles = access.RolesOf(access.Admin)
	name := g.Name
	for i := 2; ; i++ {
		_, _, err := st.CreateGrant(ctx, g, store.Request{Story: store.Story{RecordedBy: "dncd"}})
		if errors.Is(err, store.ErrTokenExists) && g.Kind == access.Token && i < maxAdmins {
			g.Name = fmt.Sprintf("%s-%d", name, i)
			continue
		}
		if err != nil {
			return fmt.Errorf("grant the role admin to %s: %w", g.Name, err)
		}
		log.Info("granted the role admin", "name", g.Name)
		return nil
	}
}

const maxAdmins = 1000

const tokenBytes = 32

func newToken() string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	return access.Prefix + hex.EncodeToString(b)
}

// writeSecret writes a line that only the owner can read, and makes it durable. A file of that name is replaced and never
// written to: it may be a link, or belong to another user.
func writeSecret(path, line string) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// checkDoor refuses an address that other machines reach, unless callers must show who they are.
func (c *config) checkDoor() error {
	if c.adminName != "" && c.tls.ClientCA == "" {
		return usageError{errors.New("--admin-name names a client certificate: give --tls-client-ca too")}
	}
	if server.Auth(c.auth) == server.AuthRequired || c.insecure || strings.HasPrefix(c.listen, unixScheme) {
		return nil
	}
	local, err := isLocal(c.listen)
	if err != nil || local {
		return err
	}
	return fmt.Errorf("--listen %s: %w", c.listen, errOpenDoor)
}
