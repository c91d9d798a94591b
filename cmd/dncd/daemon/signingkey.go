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

// loadSigningKey reads the key that signs checkpoints. It makes one in the data directory when none is there; the file that
// --signing-key names must exist: a disk that is not mounted must not lead to a key that no base knows.
func (c *config) loadSigningKey(st *store.Store, log *slog.Logger) (feed.PrivateKey, error) {
	path := c.signingKey
	if path == "" {
		path = filepath.Join(c.data, signingKeyFile)
	}
	key, err := readSigningKey(path, log)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.signingKey == "":
		return makeSigningKey(path, st, log)
	case errors.Is(err, fs.ErrNotExist):
		return key, fmt.Errorf("--signing-key: %w: make it with dnc key new %s", err, path)
	case err != nil:
		return key, fmt.Errorf("the key that signs checkpoints, %s: %w", path, err)
	}
	return key, nil
}

// readSigningKey reads a key. One that other users may read is used all the same: a copy that was put back without its modes
// must not keep the server from answering.
func readSigningKey(path string, log *slog.Logger) (feed.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return feed.PrivateKey{}, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		log.Warn("other users may read the key that signs checkpoints: chmod 600, and make another key if one of them did", "file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return feed.PrivateKey{}, err
	}
	return feed.ParsePrivateKey(string(text))
}

// makeSigningKey makes a key and its public half beside it. A base that knows another key of this server will ask why.
func makeSigningKey(path string, st *store.Store, log *slog.Logger) (feed.PrivateKey, error) {
	text, public, err := feed.NewKey("dncd-" + st.View().JournalID()[:8])
	if err != nil {
		return feed.PrivateKey{}, err
	}
	if err := errors.Join(writeSecret(path, text), os.WriteFile(path+".pub", []byte(public.Text()+"\n"), 0o644)); err != nil {
		return feed.PrivateKey{}, fmt.Errorf("write the key that signs checkpoints: %w", err)
	}
	log.Info("made the key that signs checkpoints", "file", path, "fingerprint", public.Fingerprint())
	return feed.ParsePrivateKey(text)
}
