package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/secret"
)

// openSecret reads the secret of the directory. Where there is none, or a damaged one, it makes another: then the positions
// that were handed out before are refused, and nothing else depends on it.
func (s *Store) openSecret() (err error) {
	if s.secret, err = secret.Read(s.dir); err == nil {
		return nil
	}
	switch damaged := errors.Is(err, ErrDamaged); {
	case damaged:
		kept, err := s.keepSecret()
		if err != nil {
			return err
		}
		s.log.Warn("the file secret is damaged and was made again: positions handed out before are refused (JOURNAL_FORKED); "+
			"to keep them, stop, and restore the file from a backup", "kept", kept)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case s.db.MaxVersion() > 0:
		s.log.Warn("the file secret is not there and was made again: if it was lost, positions handed out before are refused (JOURNAL_FORKED); " +
			"to keep them, stop, and restore the file from a backup")
	}
	return s.opt.faults.do(stepSecret, func() (err error) { s.secret, err = secret.Make(s.dir); return err })
}

// keepSecret sets a damaged secret aside: a person may still make it out.
func (s *Store) keepSecret() (name string, err error) {
	name = secret.Name + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(filepath.Join(s.dir, secret.Name), filepath.Join(s.dir, name)); err != nil {
		return "", fmt.Errorf("set the damaged secret aside: %w", err)
	}
	return name, disk.SyncDir(s.dir)
}

// MAC is the HMAC-SHA-256 under the directory's secret of a label and the parts, one after the other. Each use has a label
// of its own, and none of them begins another.
func (s *Store) MAC(label string, parts ...[]byte) [sha256.Size]byte {
	return s.secret.MAC(label, parts...)
}
