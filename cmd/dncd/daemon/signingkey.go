package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/store"
)

// signingKeyFile holds the key that signs checkpoints, in the data directory, unless --signing-key names another file.
const signingKeyFile = "signing-key"

// signingKeyPath is the file of the key that signs checkpoints. A link is followed: what it names is the file.
func (c *config) signingKeyPath() string {
	path := c.signingKey
	if path == "" {
		path = filepath.Join(c.data, signingKeyFile)
	}
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	return path
}

// loadSigningKey reads the key that signs checkpoints. It makes one in the data directory when none is there; the file that
// --signing-key names must exist: a disk that is not mounted must not lead to a key that no base knows.
func (c *config) loadSigningKey(st *store.Store, log *slog.Logger) (feed.SigningKey, error) {
	path := c.signingKeyPath()
	key, err := readSigningKey(path, log)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.signingKey == "":
		return makeSigningKey(path, st, log)
	case errors.Is(err, fs.ErrNotExist):
		return key, fmt.Errorf("--signing-key: %w: make it with dnc key new %s", err, path)
	case err != nil:
		return key, fmt.Errorf("the key that signs checkpoints, %s: %w", path, err)
	}
	if err := freshenPublic(path, key); err != nil {
		log.Warn("the public half beside the key that signs checkpoints is that of the key before", "file", publicFile(path), "err", err)
	}
	return key, nil
}

// readSigningKey reads a key. One that other users may read is used all the same: a copy that was put back without its modes
// must not keep the server from answering.
func readSigningKey(path string, log *slog.Logger) (feed.SigningKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return feed.SigningKey{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		log.Warn("other users may read the key that signs checkpoints: chmod 600, and replace it with dncd rotate-key if one of them did", "file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return feed.SigningKey{}, err
	}
	return feed.ParseSigningKey(string(text))
}

// makeSigningKey makes a key and its public half beside it. A base that knows another key of this server will ask why.
func makeSigningKey(path string, st *store.Store, log *slog.Logger) (feed.SigningKey, error) {
	text, public, err := feed.NewKey("dncd-" + st.View().JournalID()[:8])
	if err != nil {
		return feed.SigningKey{}, err
	}
	if err := errors.Join(writeSecret(path, text), writePublic(path, public)); err != nil {
		return feed.SigningKey{}, fmt.Errorf("write the key that signs checkpoints: %w", err)
	}
	log.Info("made the key that signs checkpoints", "file", path, "fingerprint", public.Fingerprint())
	return feed.ParseSigningKey(text)
}

// publicFile is beside a private key.
func publicFile(path string) string { return path + ".pub" }

func writePublic(path string, key feed.PublicKey) error {
	return os.WriteFile(publicFile(path), []byte(key.Text()+"\n"), 0o644)
}

// freshenPublic writes the public half again where a rotation that was killed has left that of the key before.
func freshenPublic(path string, key feed.SigningKey) error {
	text, _ := os.ReadFile(publicFile(path)) // where it is not, nobody needs it
	if len(text) == 0 || len(key.Rotations) == 0 || string(text) == key.Public().Text()+"\n" {
		return nil
	}
	return writePublic(path, key.Public())
}
